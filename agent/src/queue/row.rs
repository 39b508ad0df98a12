//! An observation as a row, both ways.

use std::{collections::BTreeMap, error::Error, str::FromStr};

use apollo_wire::{
    Clock, Observation, ProcessRef, ProcessState, Sequence, SpecHash, UnixMillis, Value, binary, limits,
};
use rusqlite::{Row, types::Type};

use super::limits::ROW_OVERHEAD_BYTES;
use crate::clock::ClockFacts;

/// The columns that an observation fills, in the order that [`read`] and inserting use. The same in both tables.
pub(super) const COLUMNS: &str = "bytes, process, observed_at_ms, clock, boot, uptime_ms, state, spec_hash, pid, \
                                  exit_code, restarts, reason, message, values_json";

/// An observation that has no sequence yet: the queue gives it one.
#[derive(Debug, Clone, PartialEq)]
pub struct NewObservation {
    /// The DeviceProcess it is about.
    pub process: ProcessRef,
    /// When the device saw it, by the device's clock.
    pub observed_at: UnixMillis,
    /// What that clock is worth: synced or unsynced (unknown, for a time that never was related to anything).
    pub clock: Clock,
    /// Milliseconds since boot when it was recorded; 0 if unknown.
    pub uptime_ms: u64,
    /// The process's state; without it the observation is history only.
    pub state: Option<ProcessState>,
    /// Which spec the process was running.
    pub spec_hash: Option<SpecHash>,
    /// Process id on the device.
    pub pid: Option<u32>,
    /// Exit code; 128 + N for an end by signal N.
    pub exit_code: Option<i32>,
    /// How often the supervisor has restarted the process since it learned of this spec.
    pub restarts: Option<u32>,
    /// A CamelCase word for machines.
    pub reason: String,
    /// A sentence for people. Cut to the contract's length when stored.
    pub message: String,
    /// Named measurements.
    pub values: BTreeMap<String, Value>,
}

impl NewObservation {
    /// An observation made now, with only the required fields.
    pub fn new(process: ProcessRef, facts: &ClockFacts) -> Self {
        let observation = Observation::new(0, process, facts.now);
        Self {
            clock: facts.clock,
            ..Self::from_wire(observation, facts.uptime_ms)
        }
    }

    /// The observation without its sequence.
    pub fn from_wire(observation: Observation, uptime_ms: u64) -> Self {
        let Observation {
            seq: _,
            process,
            observed_at,
            clock,
            state,
            spec_hash,
            pid,
            exit_code,
            restarts,
            reason,
            message,
            values,
        } = observation;
        Self {
            process,
            observed_at,
            clock,
            uptime_ms,
            state,
            spec_hash,
            pid,
            exit_code,
            restarts,
            reason,
            message,
            values,
        }
    }

    /// The observation as it travels, with its sequence.
    pub fn into_wire(self, seq: Sequence) -> Observation {
        Observation {
            seq,
            process: self.process,
            observed_at: self.observed_at,
            clock: self.clock,
            state: self.state,
            spec_hash: self.spec_hash,
            pid: self.pid,
            exit_code: self.exit_code,
            restarts: self.restarts,
            reason: self.reason,
            message: self.message,
            values: self.values,
        }
    }

    /// Checks the contract's bounds, the message's excepted: that one is cut.
    ///
    /// # Errors
    /// The first bound it breaks.
    pub fn check(&self) -> Result<(), apollo_wire::Defect> {
        use apollo_wire::Defect;
        if self.reason.len() > limits::REASON_BYTES {
            return Err(Defect::Reason(self.reason.len()));
        }
        if self.values.len() > limits::VALUES {
            return Err(Defect::Values(self.values.len()));
        }
        let bad_name = |name: &&String| name.is_empty() || name.len() > limits::VALUE_NAME_BYTES;
        match self.values.keys().find(bad_name) {
            Some(name) => Err(Defect::ValueName(name.len())),
            None => Ok(()),
        }
    }
}

/// The longest beginning of `text` of at most `max` bytes that ends between characters.
pub(super) fn cut(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or(text)
}

/// `values` as JSON text; absent where there are none.
pub(super) fn values_json(values: &BTreeMap<String, Value>) -> Option<String> {
    if values.is_empty() {
        return None;
    }
    // Cannot fail: text keys and finite numbers.
    serde_json::to_string(values).ok()
}

/// A row's `bytes` in SQL. Where damage left no number there, or one that no row can have, the row counts nothing, and
/// blocks no sum: all texts at the contract's limits, with 32 values whose names are all escapes, are 15 KiB.
pub(super) const BYTES: &str = "iif(typeof(bytes) = 'integer' AND bytes BETWEEN 0 AND 32768, bytes, 0)";

/// What the row counts towards the queue's `max_bytes`.
pub(super) fn bytes(observation: &NewObservation, message: &str, values_json: Option<&str>) -> i64 {
    let texts = observation.process.as_str().len()
        + observation.reason.len()
        + message.len()
        + values_json.map_or(0, str::len)
        + observation.state.map_or(0, |state| state_text(state).len())
        + observation.spec_hash.map_or(0, |_| 16);
    i64::try_from(ROW_OVERHEAD_BYTES + texts).unwrap_or(i64::MAX)
}

/// A sequence as SQLite's key. The contract keeps sequences below 2^63; a larger one from a peer names no row.
pub(super) fn key(sequence: Sequence) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// SQLite's key as a sequence. Keys the queue hands out are positive.
pub(super) fn sequence(key: i64) -> Sequence {
    Sequence::try_from(key).unwrap_or(0)
}

/// A count as it comes from SQLite; sums of what the queue wrote are not negative.
pub(super) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(super) fn state_text(state: ProcessState) -> &'static str {
    match state {
        ProcessState::Pending => "Pending",
        ProcessState::Running => "Running",
        ProcessState::Backoff => "Backoff",
        ProcessState::Succeeded => "Succeeded",
        ProcessState::Failed => "Failed",
        ProcessState::Stopped => "Stopped",
    }
}

fn parse_state(text: &str) -> Option<ProcessState> {
    use ProcessState as S;
    [
        S::Pending,
        S::Running,
        S::Backoff,
        S::Succeeded,
        S::Failed,
        S::Stopped,
    ]
    .into_iter()
    .find(|state| state_text(*state) == text)
}

pub(super) fn clock_text(clock: Clock) -> &'static str {
    match clock {
        Clock::Synced => "synced",
        Clock::Unsynced => "unsynced",
        Clock::Unknown => "unknown",
    }
}

fn parse_clock(text: &str) -> Option<Clock> {
    [Clock::Synced, Clock::Unsynced, Clock::Unknown]
        .into_iter()
        .find(|clock| clock_text(*clock) == text)
}

/// A column that holds what this program never writes.
pub(super) fn unreadable(column: usize, error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

/// A text that is none of the words a column may hold.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not one of the words this column holds")]
struct UnknownWord(String);

fn parsed<T: FromStr<Err: Error + Send + Sync + 'static>>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    row.get_ref(column)?
        .as_str()?
        .parse()
        .map_err(|error| unreadable(column, error))
}

fn word<T>(text: &str, column: usize, parse: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    parse(text).ok_or_else(|| unreadable(column, UnknownWord(cut(text, 40).to_owned())))
}

/// More than any frame carries. Sent, it would make a gateway refuse the whole batch, again and again.
#[derive(Debug, thiserror::Error)]
#[error("more than fits any frame")]
struct Oversized;

fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    let text = row.get_ref(column)?.as_str()?;
    if text.len() > binary::TEXT_BYTES {
        return Err(unreadable(column, Oversized));
    }
    Ok(text.to_owned())
}

fn parse_values(json: &str, column: usize) -> rusqlite::Result<BTreeMap<String, Value>> {
    let values: BTreeMap<String, Value> =
        serde_json::from_str(json).map_err(|error| unreadable(column, error))?;
    let fits = values.len() as u64 <= binary::SET_NAMES
        && values.keys().all(|name| name.len() <= binary::TEXT_BYTES);
    fits.then_some(values)
        .ok_or_else(|| unreadable(column, Oversized))
}

/// A row read back, with the key of the boot it was recorded in.
pub(super) struct StoredRow {
    pub(super) observation: NewObservation,
    pub(super) boot: i64,
    pub(super) bytes: i64,
}

/// Reads [`COLUMNS`], which start at column `at`.
pub(super) fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<StoredRow> {
    let state: Option<&str> = row.get_ref(at + 6)?.as_str_or_null()?;
    let spec_hash: Option<&str> = row.get_ref(at + 7)?.as_str_or_null()?;
    let values: Option<&str> = row.get_ref(at + 13)?.as_str_or_null()?;
    let observation = NewObservation {
        process: parsed(row, at + 1)?,
        observed_at: UnixMillis::new(row.get(at + 2)?).map_err(|error| unreadable(at + 2, error))?,
        clock: word(row.get_ref(at + 3)?.as_str()?, at + 3, parse_clock)?,
        uptime_ms: count(row.get(at + 5)?),
        state: state.map(|text| word(text, at + 6, parse_state)).transpose()?,
        spec_hash: spec_hash
            .map(|text| text.parse().map_err(|error| unreadable(at + 7, error)))
            .transpose()?,
        pid: row.get(at + 8)?,
        exit_code: row.get(at + 9)?,
        restarts: row.get(at + 10)?,
        reason: text(row, at + 11)?,
        message: text(row, at + 12)?,
        values: values.map_or_else(|| Ok(BTreeMap::new()), |json| parse_values(json, at + 13))?,
    };
    Ok(StoredRow {
        observation,
        boot: row.get(at + 4)?,
        bytes: row.get(at)?,
    })
}
