//! Reading history: what is settled, how far it goes, and the observations themselves.

use std::collections::HashSet;

use apollo_wire::{DeviceName, Epoch, InstanceId, Sequence, SpecHash, UnixMillis};
use deadpool_postgres::ClientWrapper;
use serde_json::value::RawValue;
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{columns::Exact, error::HistoryError};
use crate::store::observation::{CLOCKS, ObservationFilter, ObservationRecord, STATES, name};

/// Two seeks: the end of the instance's part of the key, and up to where retention has removed rows.
const HIGHEST: &str = "SELECT greatest(0, \
     (SELECT sequence FROM apollo.history WHERE device = $1 AND instance = $2 ORDER BY sequence DESC LIMIT 1), \
     (SELECT removed_through FROM apollo.instances WHERE device = $1 AND instance = $2))";

/// Most observations in one answer, whoever asks: it is built in memory.
const OBSERVATIONS_MAX: usize = 10_000;

/// One seek for each sequence.
const SETTLED: &str = "\
SELECT given.sequence FROM unnest($3::bigint[]) AS given (sequence)
CROSS JOIN LATERAL (
    SELECT FROM apollo.history h WHERE h.device = $1 AND h.instance = $2 AND h.sequence = given.sequence LIMIT 1
) stored";

/// The highest sequence that history has or had for an instance, 0 if none.
pub(super) async fn highest(
    client: &ClientWrapper,
    device: &DeviceName,
    instance: InstanceId,
) -> Result<Sequence, HistoryError> {
    let statement = client.prepare_cached(HIGHEST).await?;
    let instance = Uuid::from_bytes(*instance.as_bytes());
    let row = client
        .query_one(&statement, &[&device.as_str(), &instance])
        .await?;
    Ok(Sequence::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0))
}

/// Those of `sequences` that history has, in their order.
pub(super) async fn settled(
    client: &ClientWrapper,
    device: &DeviceName,
    instance: InstanceId,
    mut sequences: Vec<Sequence>,
) -> Result<Vec<Sequence>, HistoryError> {
    // One past 2^63 cannot be there.
    let asked: Vec<i64> = sequences
        .iter()
        .filter_map(|sequence| i64::try_from(*sequence).ok())
        .collect();
    let statement = client.prepare_cached(SETTLED).await?;
    let instance = Uuid::from_bytes(*instance.as_bytes());
    let parameters: [&(dyn ToSql + Sync); 3] = [&device.as_str(), &instance, &asked];
    let rows = client.query(&statement, &parameters).await?;
    let found: HashSet<i64> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    sequences.retain(|sequence| i64::try_from(*sequence).is_ok_and(|sequence| found.contains(&sequence)));
    Ok(sequences)
}

/// The query for a filter: lives in their order, and of each the first rows in theirs, so that the limit ends it early.
/// Only the conditions that are set are written, and the limit as a number, so that the planner sees what is wanted.
fn sql(filter: &ObservationFilter, limit: usize) -> String {
    let condition = |is_set: bool, text: &'static str| if is_set { text } else { "true" };
    format!(
        "SELECT i.device, i.epoch, i.instance, h.sequence, h.process, h.observed_at_ms, h.corrected_at_ms, \
         h.received_at_ms, h.clock, h.state, h.spec_hash, h.pid, h.exit_code, h.restarts, h.reason, h.message, \
         h.values_json, h.exact_json, h.orphaned \
         FROM (SELECT $1::text AS device, $2::text AS namespace, $3::text AS name) wanted \
         CROSS JOIN apollo.instances i CROSS JOIN LATERAL (SELECT * FROM apollo.history h \
         WHERE h.device = i.device AND h.instance = i.instance AND {} AND {} ORDER BY h.sequence LIMIT {limit}) h \
         WHERE {} ORDER BY i.device, i.epoch, i.instance, h.sequence LIMIT {limit}",
        condition(
            filter.namespace.is_some(),
            "split_part(h.process, '/', 1) = wanted.namespace"
        ),
        condition(
            filter.name.is_some(),
            "split_part(h.process, '/', 2) = wanted.name"
        ),
        condition(filter.device.is_some(), "i.device = wanted.device"),
    )
}

/// The first `limit` observations that pass the filter, sorted by device, epoch and sequence.
pub(super) async fn observations(
    client: &ClientWrapper,
    filter: &ObservationFilter,
    limit: usize,
) -> Result<Vec<ObservationRecord>, HistoryError> {
    let device = filter.device.as_ref().map(DeviceName::as_str);
    let parameters: [&(dyn ToSql + Sync); 3] = [&device, &filter.namespace, &filter.name];
    // Not a statement that is kept: limits are many, and people ask rarely.
    let rows = client
        .query(&sql(filter, limit.min(OBSERVATIONS_MAX)), &parameters)
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<ObservationRecord, HistoryError> {
    let (reason, message) = texts(row)?;
    let values: Option<String> = row.try_get(16)?;
    let spec_hash: Option<Vec<u8>> = row.try_get(10)?;
    Ok(ObservationRecord {
        device: row.try_get(0)?,
        epoch: Epoch::try_from(row.try_get::<_, i64>(1)?).map_err(|_| damaged("epoch"))?,
        instance: row.try_get::<_, Uuid>(2)?.to_string(),
        seq: Sequence::try_from(row.try_get::<_, i64>(3)?).map_err(|_| damaged("seq"))?,
        process: row.try_get(4)?,
        observed_at: UnixMillis::saturating(row.try_get(5)?),
        corrected_at: row.try_get::<_, Option<i64>>(6)?.map(UnixMillis::saturating),
        received_at: UnixMillis::saturating(row.try_get(7)?),
        clock: word(&CLOCKS, row.try_get(8)?).ok_or_else(|| damaged("clock"))?,
        state: match row.try_get::<_, Option<i16>>(9)? {
            None => None,
            Some(number) => Some(word(&STATES, number).ok_or_else(|| damaged("state"))?),
        },
        spec_hash: match spec_hash {
            None => None,
            Some(bytes) => {
                let bytes = <[u8; 8]>::try_from(bytes).map_err(|_| damaged("specHash"))?;
                Some(SpecHash(bytes).to_string())
            }
        },
        pid: number(row, 11, "pid")?,
        exit_code: row.try_get(12)?,
        restarts: number(row, 13, "restarts")?,
        reason,
        message,
        values: RawValue::from_string(values.unwrap_or_else(|| "{}".to_owned()))
            .map_err(|_| damaged("values"))?,
        orphaned: row.try_get(18)?,
    })
}

/// Reason and message as the device sent them.
fn texts(row: &Row) -> Result<(String, String), HistoryError> {
    let exact: Option<String> = row.try_get(17)?;
    let Some(exact) = exact else {
        return Ok((row.try_get(14)?, row.try_get(15)?));
    };
    let exact: Exact<'_> = serde_json::from_str(&exact).map_err(|_| damaged("exact_json"))?;
    Ok((exact.reason.into_owned(), exact.message.into_owned()))
}

fn number(row: &Row, column: usize, field: &'static str) -> Result<Option<u32>, HistoryError> {
    let number: Option<i64> = row.try_get(column)?;
    number.map(u32::try_from).transpose().map_err(|_| damaged(field))
}

fn word(list: &[&'static str], number: i16) -> Option<&'static str> {
    name(list, u8::try_from(number).ok()?)
}

fn damaged(field: &'static str) -> HistoryError {
    HistoryError::Damaged(field)
}
