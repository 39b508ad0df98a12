//! Starting a new instance: after the database turns out to be restored from an old copy, or cloned.

use apollo_wire::InstanceId;
use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};

use super::{Queue, StorageError, append::high_water, gaps, limits::NOTE_BYTES, open, row};
use crate::clock;

impl Queue {
    /// Gives the database a new random instance id; see [`renew_instance_as`](Self::renew_instance_as).
    ///
    /// # Errors
    /// Any failure of SQLite: the old instance goes on.
    pub fn renew_instance(&mut self, why: &str) -> Result<InstanceId, StorageError> {
        self.renew_instance_as(open::new_instance(), why)
    }

    /// Gives the database the instance id `new`, in one transaction. Pending rows and gap records get new sequences
    /// above every one the old instance handed out, in the same order: what the old identity meant to a gateway cannot
    /// be confused with what the new one means, and a late verdict for the old instance names nothing here. Nothing
    /// counts as offered any more. `sync_status` tells `previous_instance`, `renewed_at` and `renewed_why`.
    ///
    /// # Errors
    /// Any failure of SQLite: the old instance goes on.
    pub fn renew_instance_as(&mut self, new: InstanceId, why: &str) -> Result<InstanceId, StorageError> {
        let mut renew = || -> rusqlite::Result<()> {
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            renumber(&transaction)?;
            transaction.execute("DELETE FROM failed_attempt", [])?;
            transaction.execute(
                "UPDATE queue_head SET previous_instance = instance, instance = ?1, renewed_at_ms = ?2, \
                 renewed_why = ?3, offered_through = 0, dropped = 0",
                params![new.to_string(), clock::now().get(), row::cut(why, NOTE_BYTES)],
            )?;
            transaction.commit()
        };
        renew().map_err(|source| StorageError::new("start a new instance", source))?;
        self.instance = new;
        Ok(new)
    }
}

/// Moves all rows and gap records above the high water mark by one distance, which keeps their order and cannot
/// collide: the lowest lands one above the mark.
fn renumber(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let lowest_row: Option<i64> = transaction
        .query_row("SELECT min(seq) FROM observation", [], |row| row.get(0))
        .optional()?
        .flatten();
    let lowest_gap = gaps::lowest(transaction)?.map(row::key);
    let Some(lowest) = lowest_row.into_iter().chain(lowest_gap).min() else {
        return Ok(());
    };
    let distance = row::key(high_water(transaction)?) - lowest + 1;
    transaction.execute("UPDATE observation SET seq = seq + ?1", [distance])?;
    transaction.execute("UPDATE gap SET first = first + ?1, last = last + ?1", [distance])?;
    // Only an INSERT moves SQLite's own mark. A gap can be higher than the highest row.
    transaction.execute(
        "UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name = 'observation'",
        [distance],
    )?;
    Ok(())
}
