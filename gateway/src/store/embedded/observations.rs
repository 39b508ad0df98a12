//! Reading history back, row by row: a device's history can be larger than memory.

use apollo_wire::{DeviceName, Sequence, UnixMillis};
use rusqlite::{Connection, Row, named_params};
use serde_json::value::RawValue;

use super::error::StoreError;
use crate::store::observation::{CLOCKS, ObservationFilter, ObservationRecord, STATES, name};

/// Which lives a filter looks at; CROSS JOIN keeps SQLite to this order, in which rows come sorted without a sort.
const FROM: &str = "FROM instances i CROSS JOIN history h ON h.instance_id = i.id \
     CROSS JOIN history_processes p ON p.id = h.process_id";
const COLUMNS: &str = "i.device, i.epoch, i.instance, h.sequence, p.process, h.observed_at_ms, h.corrected_at_ms, \
     h.received_at_ms, h.clock, h.state, h.spec_hash, h.pid, h.exit_code, h.restarts, h.reason, h.message, \
     h.values_json, h.orphaned";

/// The query for a filter: by device if it names one.
pub(super) fn sql(filter: &ObservationFilter) -> String {
    let device = if filter.device.is_some() {
        "i.device = :device"
    } else {
        ":device IS NULL"
    };
    format!(
        "SELECT {COLUMNS} {FROM} WHERE {device} \
         AND (:namespace IS NULL OR substr(p.process, 1, length(:namespace) + 1) = :namespace || '/') \
         AND (:name IS NULL OR substr(p.process, instr(p.process, '/') + 1) = :name) \
         ORDER BY i.device, i.epoch, i.id, h.sequence"
    )
}

/// Hands every observation that passes the filter to `sink`, sorted by device, epoch and sequence.
pub(super) fn each<E: From<StoreError>>(
    connection: &Connection,
    filter: &ObservationFilter,
    mut sink: impl FnMut(ObservationRecord) -> Result<(), E>,
) -> Result<(), E> {
    let mut statement = connection
        .prepare_cached(&sql(filter))
        .map_err(StoreError::from)?;
    let mut rows = statement
        .query(named_params! {
            ":device": filter.device.as_ref().map(DeviceName::as_str),
            ":namespace": filter.namespace,
            ":name": filter.name,
        })
        .map_err(StoreError::from)?;
    while let Some(row) = rows.next().map_err(StoreError::from)? {
        sink(read(row)?)?;
    }
    Ok(())
}

fn read(row: &Row<'_>) -> Result<ObservationRecord, StoreError> {
    let values: Option<String> = row.get(16)?;
    let spec_hash: Option<[u8; 8]> = row.get(10)?;
    Ok(ObservationRecord {
        device: row.get(0)?,
        epoch: row.get(1)?,
        instance: row.get(2)?,
        seq: Sequence::try_from(row.get::<_, i64>(3)?).map_err(|_| damaged("seq"))?,
        process: row.get(4)?,
        observed_at: UnixMillis::saturating(row.get(5)?),
        corrected_at: row.get::<_, Option<i64>>(6)?.map(UnixMillis::saturating),
        received_at: UnixMillis::saturating(row.get(7)?),
        clock: name(&CLOCKS, row.get(8)?).ok_or_else(|| damaged("clock"))?,
        state: match row.get::<_, Option<u8>>(9)? {
            None => None,
            Some(number) => Some(name(&STATES, number).ok_or_else(|| damaged("state"))?),
        },
        spec_hash: spec_hash.map(|hash| apollo_wire::SpecHash(hash).to_string()),
        pid: row.get(11)?,
        exit_code: row.get(12)?,
        restarts: row.get(13)?,
        reason: row.get(14)?,
        message: row.get(15)?,
        values: RawValue::from_string(values.unwrap_or_else(|| "{}".to_owned()))
            .map_err(|_| damaged("values"))?,
        orphaned: row.get(17)?,
    })
}

fn damaged(field: &str) -> StoreError {
    StoreError::Damaged {
        object: "an observation".to_owned(),
        detail: format!("{field} is none that this program knows"),
    }
}
