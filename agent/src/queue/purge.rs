//! Emptying the queue by hand. Not silently: what is purged becomes gap records.

use apollo_wire::{GapReason, SequenceRange};
use rusqlite::{Transaction, TransactionBehavior};

use super::{Queue, StorageError, append::add_to_totals, gaps, row, settle};

impl Queue {
    /// Deletes all pending rows and records them as gaps (Purged). Returns how many there were.
    ///
    /// # Errors
    /// Any failure of SQLite: nothing was deleted.
    pub fn purge(&mut self) -> Result<u64, StorageError> {
        let mut purge = || -> rusqlite::Result<u64> {
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let purged = delete_all(&transaction)?;
            transaction.commit()?;
            Ok(purged)
        };
        purge().map_err(|source| StorageError::new("purge the queue", source))
    }

    /// Deletes all dead letters. Returns how many there were. They were settled already, so there is nothing to record.
    ///
    /// # Errors
    /// Any failure of SQLite: nothing was deleted.
    pub fn purge_dead(&mut self) -> Result<u64, StorageError> {
        let deleted = self.connection.execute("DELETE FROM dead_letter", []);
        deleted
            .map(|rows| rows as u64)
            .map_err(|source| StorageError::new("purge the dead letters", source))
    }
}

fn delete_all(transaction: &Transaction<'_>) -> rusqlite::Result<u64> {
    // Runs of consecutive sequences share seq minus rank, so the ranges come out of one pass, whatever the number.
    let ranges: Vec<SequenceRange> = transaction
        .prepare(
            "SELECT min(seq), max(seq) FROM (SELECT seq, seq - row_number() OVER (ORDER BY seq) AS run \
             FROM observation) GROUP BY run ORDER BY 1",
        )?
        .query_map([], |row| {
            Ok(SequenceRange {
                first: row::sequence(row.get(0)?),
                last: row::sequence(row.get(1)?),
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let (rows, bytes): (i64, i64) = transaction.query_row(
        &format!(
            "SELECT count(*), coalesce(sum({}), 0) FROM observation",
            row::BYTES
        ),
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    transaction.execute("DELETE FROM observation", [])?;
    add_to_totals(transaction, -rows, -bytes)?;
    gaps::record(transaction, &ranges, GapReason::Purged)?;
    settle::forget_attempts(transaction)?;
    Ok(row::count(rows))
}
