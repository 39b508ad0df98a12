//! What happens when the queue is full: the oldest rows make room, and say so.
//!
//! The oldest, because the gateway keeps the newest observation of each process as its status: after a long dark time
//! an operator wants to know how the device is, and the gap record says what is missing before.

use apollo_wire::{GapReason, Sequence, SequenceRange};
use rusqlite::Transaction;

use super::{QueueLimits, append::add_to_totals, gaps, row};

/// Drops the oldest rows until the queue keeps its limits; at least one row stays.
pub(super) fn trim(transaction: &Transaction<'_>, limits: QueueLimits) -> rusqlite::Result<()> {
    let (rows, bytes): (i64, i64) = transaction
        .prepare_cached("SELECT pending_rows, pending_bytes FROM queue_head")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (max_rows, max_bytes) = (limits.max_rows.max(1), limits.max_bytes);
    if row::count(rows) <= max_rows && row::count(bytes) <= max_bytes {
        return Ok(());
    }
    let dropped = oldest_over(
        transaction,
        row::count(rows),
        row::count(bytes),
        max_rows,
        max_bytes,
    )?;
    let Some(last) = dropped.sequences.last().copied() else {
        return Ok(());
    };
    transaction
        .prepare_cached("DELETE FROM observation WHERE seq <= ?1")?
        .execute([row::key(last)])?;
    let dropped_rows = i64::try_from(dropped.sequences.len()).unwrap_or(i64::MAX);
    add_to_totals(transaction, -dropped_rows, -dropped.bytes)?;
    transaction.execute("UPDATE queue_head SET dropped = dropped + ?1", [dropped_rows])?;
    gaps::record(
        transaction,
        &SequenceRange::collect(dropped.sequences),
        GapReason::QueueFull,
    )
}

struct Dropped {
    /// Ascending.
    sequences: Vec<Sequence>,
    bytes: i64,
}

/// The oldest rows whose removal brings `rows` and `bytes` within bounds, the newest row excepted.
fn oldest_over(
    transaction: &Transaction<'_>,
    mut rows: u64,
    mut bytes: u64,
    max_rows: u64,
    max_bytes: u64,
) -> rusqlite::Result<Dropped> {
    let mut dropped = Dropped {
        sequences: Vec::new(),
        bytes: 0,
    };
    let sql = format!("SELECT seq, {} FROM observation ORDER BY seq", row::BYTES);
    let mut statement = transaction.prepare_cached(&sql)?;
    let mut found = statement.query([])?;
    while rows > 1 && (rows > max_rows || bytes > max_bytes) {
        let Some(row) = found.next()? else { break };
        let row_bytes: i64 = row.get(1)?;
        dropped.sequences.push(row::sequence(row.get(0)?));
        dropped.bytes += row_bytes;
        rows -= 1;
        bytes = bytes.saturating_sub(row::count(row_bytes));
    }
    Ok(dropped)
}
