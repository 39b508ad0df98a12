//! History: a set of observations keyed by (device, instance, sequence). Adding one twice adds it once.

use std::collections::HashMap;

use apollo_gateway_core::store::{HistoryRow, OnConflict};
use apollo_wire::{DeviceName, Epoch, Gap, InstanceId, ProcessRef, Sequence, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};

use super::error::StoreError;
use crate::store::observation::{clock_number, gap_reason, state_number};

/// The number and the epoch of an instance.
pub(super) const FIND_INSTANCE: &str = "SELECT id, epoch FROM instances WHERE device = ?1 AND instance = ?2";

/// The number of a process.
pub(super) const FIND_PROCESS: &str = "SELECT id FROM history_processes WHERE process = ?1";

/// The end of an instance's part of the key.
pub(super) const HIGHEST: &str = "SELECT max(sequence) FROM history WHERE instance_id = ?1";

/// Whether a stored row is the same observation: the columns of `HistoryRow::says_the_same`.
pub(super) const SAYS_THE_SAME: &str = "SELECT process_id IS ?3 AND observed_at_ms IS ?4 AND state IS ?5 AND spec_hash IS ?6 \
     AND pid IS ?7 AND exit_code IS ?8 AND restarts IS ?9 AND reason IS ?10 AND message IS ?11 AND values_json IS ?12 \
     FROM history WHERE instance_id = ?1 AND sequence = ?2";

/// Whether history has a sequence.
pub(super) const IS_SETTLED: &str = "SELECT 1 FROM history WHERE instance_id = ?1 AND sequence = ?2";

/// How far the records of one reason that begin at a sequence reach.
pub(super) const LONGEST_GAP: &str =
    "SELECT max(last) FROM history_gaps WHERE instance_id = ?1 AND first = ?2 AND reason = ?3";

/// One append: all of one report for one instance.
#[derive(Debug)]
pub(super) struct Append {
    /// Whose.
    pub device: DeviceName,
    /// Which life.
    pub instance: InstanceId,
    /// Its epoch.
    pub epoch: Epoch,
    /// When the gateway received it.
    pub received_at: UnixMillis,
    /// The observations.
    pub rows: Vec<HistoryRow>,
    /// Ranges the device had to drop.
    pub gaps: Vec<Gap>,
    /// What to do about a sequence that is there already.
    pub on_conflict: OnConflict,
}

impl Append {
    /// Adds what is not there yet: which rows were new, and the instance's highest sequence afterwards.
    /// [`StoreError::Diverged`] if a row that must say the same does not: the step is undone then.
    pub(super) fn run(&self, connection: &Connection) -> Result<(Vec<bool>, Sequence), StoreError> {
        let instance_id = self.instance_id(connection)?;
        let highest_before = highest_of(connection, instance_id)?;
        let mut process_ids = HashMap::new();
        let mut insert = connection.prepare_cached(
            "INSERT INTO history (instance_id, sequence, process_id, observed_at_ms, corrected_at_ms, received_at_ms, \
             clock, state, spec_hash, pid, exit_code, restarts, reason, message, values_json, orphaned) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) \
             ON CONFLICT (instance_id, sequence) DO NOTHING",
        )?;
        let mut new = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let observation = &row.observation;
            let process_id = match process_ids.get(&observation.process) {
                Some(id) => *id,
                None => {
                    let id = process_id(connection, &observation.process)?;
                    process_ids.insert(observation.process.clone(), id);
                    id
                }
            };
            let inserted = insert.execute(params![
                instance_id,
                signed(observation.seq)?,
                process_id,
                observation.observed_at.get(),
                row.corrected_at.map(UnixMillis::get),
                self.received_at.get(),
                clock_number(observation.clock),
                observation.state.map(state_number),
                observation.spec_hash.map(|hash| hash.0),
                observation.pid,
                observation.exit_code,
                observation.restarts,
                observation.reason,
                observation.message,
                values_json(row)?,
                row.orphaned,
            ])?;
            if inserted == 0
                && self.on_conflict == OnConflict::RefuseOther
                && !says_the_same(connection, instance_id, process_id, row)?
            {
                return Err(StoreError::Diverged {
                    highest: highest_before,
                });
            }
            new.push(inserted == 1);
        }
        self.insert_gaps(connection, instance_id)?;
        Ok((new, highest_of(connection, instance_id)?))
    }

    /// The number of (device, instance). The epoch is the Device object's to say: a recreated Device counts anew.
    fn instance_id(&self, connection: &Connection) -> Result<i64, StoreError> {
        let instance = self.instance.to_string();
        let known: Option<(i64, Epoch)> = connection
            .prepare_cached(FIND_INSTANCE)?
            .query_row(params![self.device.as_str(), instance], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        match known {
            Some((id, epoch)) if epoch == self.epoch => Ok(id),
            Some((id, _)) => {
                connection
                    .prepare_cached("UPDATE instances SET epoch = ?2 WHERE id = ?1")?
                    .execute(params![id, self.epoch])?;
                Ok(id)
            }
            None => Ok(connection
                .prepare_cached("INSERT INTO instances (device, instance, epoch) VALUES (?1, ?2, ?3)")?
                .insert(params![self.device.as_str(), instance, self.epoch])?),
        }
    }

    /// A record that grew while its reply was lost comes again with the same beginning: it is one record, and its longest
    /// form counts, so that no lost sequence is told twice.
    fn insert_gaps(&self, connection: &Connection, instance_id: i64) -> Result<(), StoreError> {
        let mut longest = connection.prepare_cached(LONGEST_GAP)?;
        // The same range may be there for another reason; then that one has said it.
        let mut extend = connection.prepare_cached(
            "UPDATE OR IGNORE history_gaps SET last = ?4 WHERE instance_id = ?1 AND first = ?2 AND last = ?3",
        )?;
        let mut insert = connection.prepare_cached(
            "INSERT INTO history_gaps (instance_id, first, last, reason, received_at_ms) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (instance_id, first, last) DO NOTHING",
        )?;
        for gap in &self.gaps {
            let (first, last, reason) = (signed(gap.first)?, signed(gap.last)?, gap_reason(gap.reason));
            let known: Option<i64> =
                longest.query_row(params![instance_id, first, reason], |row| row.get(0))?;
            match known {
                Some(known) if known >= last => {}
                Some(known) => {
                    extend.execute(params![instance_id, first, known, last])?;
                }
                None => {
                    insert.execute(params![instance_id, first, last, reason, self.received_at.get()])?;
                }
            }
        }
        Ok(())
    }
}

/// The highest sequence in history for an instance, 0 if none: one seek to the end of its part of the key.
pub(super) fn highest(
    connection: &Connection,
    device: &DeviceName,
    instance: InstanceId,
) -> Result<Sequence, StoreError> {
    let id: Option<i64> = connection
        .prepare_cached(FIND_INSTANCE)?
        .query_row(params![device.as_str(), instance.to_string()], |row| row.get(0))
        .optional()?;
    id.map_or(Ok(0), |id| highest_of(connection, id))
}

/// Whether the stored row of this sequence is the same observation.
fn says_the_same(
    connection: &Connection,
    instance_id: i64,
    process_id: i64,
    row: &HistoryRow,
) -> Result<bool, StoreError> {
    let observation = &row.observation;
    Ok(connection.prepare_cached(SAYS_THE_SAME)?.query_row(
        params![
            instance_id,
            signed(observation.seq)?,
            process_id,
            observation.observed_at.get(),
            observation.state.map(state_number),
            observation.spec_hash.map(|hash| hash.0),
            observation.pid,
            observation.exit_code,
            observation.restarts,
            observation.reason,
            observation.message,
            values_json(row)?,
        ],
        |row| row.get(0),
    )?)
}

/// Those of `sequences` that history has.
pub(super) fn settled(
    connection: &Connection,
    device: &DeviceName,
    instance: InstanceId,
    sequences: &[Sequence],
) -> Result<Vec<Sequence>, StoreError> {
    let id: Option<i64> = connection
        .prepare_cached(FIND_INSTANCE)?
        .query_row(params![device.as_str(), instance.to_string()], |row| row.get(0))
        .optional()?;
    let Some(id) = id else {
        return Ok(Vec::new());
    };
    let mut is_settled = connection.prepare_cached(IS_SETTLED)?;
    let mut found = Vec::new();
    for sequence in sequences {
        if is_settled.exists(params![id, signed(*sequence)?])? {
            found.push(*sequence);
        }
    }
    Ok(found)
}

fn highest_of(connection: &Connection, instance_id: i64) -> Result<Sequence, StoreError> {
    let highest: Option<i64> = connection
        .prepare_cached(HIGHEST)?
        .query_row([instance_id], |row| row.get(0))?;
    Ok(highest
        .and_then(|highest| Sequence::try_from(highest).ok())
        .unwrap_or(0))
}

fn process_id(connection: &Connection, process: &ProcessRef) -> Result<i64, StoreError> {
    let known: Option<i64> = connection
        .prepare_cached(FIND_PROCESS)?
        .query_row([process.as_str()], |row| row.get(0))
        .optional()?;
    match known {
        Some(id) => Ok(id),
        None => Ok(connection
            .prepare_cached("INSERT INTO history_processes (process) VALUES (?1)")?
            .insert([process.as_str()])?),
    }
}

fn values_json(row: &HistoryRow) -> Result<Option<String>, StoreError> {
    if row.observation.values.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(&row.observation.values)
        .map(Some)
        .map_err(|_| StoreError::OutOfRange("values"))
}

fn signed(sequence: Sequence) -> Result<i64, StoreError> {
    i64::try_from(sequence).map_err(|_| StoreError::OutOfRange("a sequence of 2^63 or more"))
}
