//! Giving a refused observation another chance, for example after its DeviceProcess was bound to this device.

use apollo_wire::Sequence;
use rusqlite::{OptionalExtension, Transaction, TransactionBehavior};

use super::{
    Queue, StorageError,
    append::add_to_totals,
    overflow,
    row::{self, COLUMNS, key},
};

impl Queue {
    /// Moves dead letters back to the end of the queue, each under a new sequence: the old one is settled, and a gateway
    /// would take it for a duplicate. Returns (old, new) for each of `sequences` that is a dead letter, in their order;
    /// a number that is none is left out. All in one transaction, within the queue's limits.
    ///
    /// # Errors
    /// Any failure of SQLite: nothing was moved.
    pub fn requeue(&mut self, sequences: &[Sequence]) -> Result<Vec<(Sequence, Sequence)>, StorageError> {
        let limits = self.limits;
        let mut requeue = || -> rusqlite::Result<Vec<(Sequence, Sequence)>> {
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut moved = Vec::new();
            for old in sequences {
                moved.extend(move_back(&transaction, *old)?.map(|new| (*old, new)));
            }
            overflow::trim(&transaction, limits)?;
            transaction.commit()?;
            Ok(moved)
        };
        requeue().map_err(|source| StorageError::new("requeue dead letters", source))
    }
}

fn move_back(transaction: &Transaction<'_>, old: Sequence) -> rusqlite::Result<Option<Sequence>> {
    let bytes: Option<i64> = transaction
        .prepare_cached("SELECT bytes FROM dead_letter WHERE seq = ?1")?
        .query_row([key(old)], |row| row.get(0))
        .optional()?;
    let Some(bytes) = bytes else { return Ok(None) };
    transaction
        .prepare_cached(&format!(
            "INSERT INTO observation ({COLUMNS}) SELECT {COLUMNS} FROM dead_letter WHERE seq = ?1"
        ))?
        .execute([key(old)])?;
    let new = row::sequence(transaction.last_insert_rowid());
    transaction
        .prepare_cached("DELETE FROM dead_letter WHERE seq = ?1")?
        .execute([key(old)])?;
    add_to_totals(transaction, 1, bytes)?;
    Ok(Some(new))
}
