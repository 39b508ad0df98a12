//! Rows of history as columns: an append sends arrays, one for each column, and Postgres makes rows of them.

use std::borrow::Cow;

use apollo_gateway_core::store::HistoryRow;
use apollo_wire::{Observation, Sequence, UnixMillis};
use serde::{Deserialize, Serialize};
use tokio_postgres::types::ToSql;

use super::error::HistoryError;
use crate::store::observation::{clock_number, state_number};

/// What a text shows in the place of U+0000, which Postgres cannot keep: SYMBOL FOR NULL.
const SHOWN_FOR_NUL: &str = "\u{2400}";

/// The rows of one statement, column by column.
#[derive(Default)]
pub(super) struct Columns<'a> {
    sequence: Vec<i64>,
    process: Vec<&'a str>,
    observed_at_ms: Vec<i64>,
    corrected_at_ms: Vec<Option<i64>>,
    clock: Vec<i16>,
    state: Vec<Option<i16>>,
    spec_hash: Vec<Option<&'a [u8]>>,
    pid: Vec<Option<i64>>,
    exit_code: Vec<Option<i32>>,
    restarts: Vec<Option<i64>>,
    reason: Vec<Cow<'a, str>>,
    message: Vec<Cow<'a, str>>,
    values_json: Vec<Option<String>>,
    exact_json: Vec<Option<String>>,
    orphaned: Vec<bool>,
}

/// Reason and message as they were, where one of them has a NUL.
#[derive(Serialize, Deserialize)]
pub(super) struct Exact<'a> {
    /// The reason.
    pub reason: Cow<'a, str>,
    /// The message.
    pub message: Cow<'a, str>,
}

impl<'a> Columns<'a> {
    /// The columns of `rows`.
    pub(super) fn of(rows: &[&'a HistoryRow]) -> Result<Self, HistoryError> {
        let mut columns = Self::default();
        for row in rows {
            columns.push(row)?;
        }
        Ok(columns)
    }

    fn push(&mut self, row: &'a HistoryRow) -> Result<(), HistoryError> {
        let observation = &row.observation;
        self.sequence.push(signed(observation.seq)?);
        self.process.push(observation.process.as_str());
        self.observed_at_ms.push(observation.observed_at.get());
        self.corrected_at_ms.push(row.corrected_at.map(UnixMillis::get));
        self.clock.push(clock_number(observation.clock).into());
        let state = observation.state.map(state_number);
        self.state.push(state.map(i16::from));
        self.spec_hash
            .push(observation.spec_hash.as_ref().map(|hash| hash.0.as_slice()));
        self.pid.push(observation.pid.map(i64::from));
        self.exit_code.push(observation.exit_code);
        self.restarts.push(observation.restarts.map(i64::from));
        self.reason.push(shown(&observation.reason));
        self.message.push(shown(&observation.message));
        self.values_json.push(values_json(observation)?);
        self.exact_json.push(exact_json(observation)?);
        self.orphaned.push(row.orphaned);
        Ok(())
    }

    /// How many rows.
    pub(super) fn len(&self) -> usize {
        self.sequence.len()
    }

    /// The arrays in the order of [`super::append::ADD`], from its fourth parameter on.
    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 15] {
        [
            &self.sequence,
            &self.process,
            &self.observed_at_ms,
            &self.corrected_at_ms,
            &self.clock,
            &self.state,
            &self.spec_hash,
            &self.pid,
            &self.exit_code,
            &self.restarts,
            &self.reason,
            &self.message,
            &self.values_json,
            &self.exact_json,
            &self.orphaned,
        ]
    }
}

/// A sequence as Postgres keeps it.
pub(super) fn signed(sequence: Sequence) -> Result<i64, HistoryError> {
    i64::try_from(sequence).map_err(|_| HistoryError::OutOfRange("a sequence of 2^63 or more"))
}

fn shown(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', SHOWN_FOR_NUL))
    } else {
        Cow::Borrowed(text)
    }
}

/// JSON escapes U+0000 in names, so that this text never has one.
fn values_json(observation: &Observation) -> Result<Option<String>, HistoryError> {
    if observation.values.is_empty() {
        return Ok(None);
    }
    json(&observation.values, "values").map(Some)
}

fn exact_json(observation: &Observation) -> Result<Option<String>, HistoryError> {
    if !observation.reason.contains('\0') && !observation.message.contains('\0') {
        return Ok(None);
    }
    let exact = Exact {
        reason: observation.reason.as_str().into(),
        message: observation.message.as_str().into(),
    };
    json(&exact, "a text").map(Some)
}

fn json(value: &impl Serialize, what: &'static str) -> Result<String, HistoryError> {
    serde_json::to_string(value).map_err(|_| HistoryError::OutOfRange(what))
}
