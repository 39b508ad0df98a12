//! Taking a gateway's verdicts.

use apollo_wire::{Gap, InstanceId, Rejection, Sequence, SequenceRange, Verdicts};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::{
    Queue, StorageError,
    append::add_to_totals,
    gaps,
    limits::{DEAD_LETTERS, NOTE_BYTES},
    open::read_instance,
    row::{self, BYTES, COLUMNS, key},
};
use crate::clock;

/// What the verdicts changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settled {
    /// Rows deleted because they were acknowledged.
    pub acked: u64,
    /// Rows moved to the dead letters.
    pub dead: u64,
    /// Gap records the gateway has taken.
    pub gaps: u64,
    /// Rows still pending.
    pub pending: u64,
}

/// The verdicts were not applied; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// They answer a report of another instance than the database's.
    #[error("the verdicts are for instance {answered}, the queue is instance {current}")]
    OtherInstance {
        /// The instance of the report they answer.
        answered: InstanceId,
        /// The database's.
        current: InstanceId,
    },
    /// The database refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Queue {
    /// Applies the reply to a report in one transaction: deletes acknowledged rows, moves refused ones to the dead
    /// letters, removes the gap records it carried, and takes acknowledged rows that had to leave meanwhile out of the
    /// others. Rows above [`mark_offered`](Queue::mark_offered) were never sent: verdicts on them are ignored. A row both acknowledged and refused becomes a dead letter. Applying the same reply
    /// again changes nothing.
    ///
    /// `instance` is that of the [`Batch`](super::Batch) the report was made from, `sent_gaps` its gap records.
    ///
    /// # Errors
    /// [`SettleError::OtherInstance`] if the database has started a new instance since; any failure of SQLite.
    pub fn settle(
        &mut self,
        instance: InstanceId,
        sent_gaps: &[Gap],
        verdicts: &Verdicts,
    ) -> Result<Settled, SettleError> {
        let failed = |source| StorageError::new("settle a report", source);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        let current = read_instance(&transaction).map_err(failed)?;
        if current != instance {
            return Err(SettleError::OtherInstance {
                answered: instance,
                current,
            });
        }
        let settled = apply(&transaction, sent_gaps, verdicts).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        Ok(settled)
    }
}

fn apply(transaction: &Transaction<'_>, sent_gaps: &[Gap], verdicts: &Verdicts) -> rusqlite::Result<Settled> {
    let offered: i64 = transaction
        .prepare_cached("SELECT offered_through FROM queue_head")?
        .query_row([], |row| row.get(0))?;
    let offered = row::sequence(offered);
    let mut settled = Settled::default();
    for rejection in verdicts
        .rejected
        .iter()
        .filter(|rejection| rejection.seq <= offered)
    {
        settled.dead += bury(transaction, rejection)?;
    }
    settled.gaps = gaps::remove(transaction, sent_gaps)?;
    for range in verdicts.acked.iter().filter(|range| range.first <= offered) {
        let arrived = SequenceRange {
            first: range.first,
            last: range.last.min(offered),
        };
        take_out_of_gaps(transaction, arrived)?;
        settled.acked += delete(transaction, arrived)?;
    }
    if settled.dead > 0 {
        keep_dead_letters_bounded(transaction)?;
    }
    if settled.acked > 0 {
        let acked = i64::try_from(settled.acked).unwrap_or(i64::MAX);
        transaction
            .prepare_cached("UPDATE queue_head SET acked_total = acked_total + ?1")?
            .execute([acked])?;
    }
    if settled.acked + settled.dead > 0 {
        forget_attempts(transaction)?;
    }
    let pending: i64 = transaction
        .prepare_cached("SELECT pending_rows FROM queue_head")?
        .query_row([], |row| row.get(0))?;
    settled.pending = row::count(pending);
    Ok(settled)
}

/// Rows that were pushed out while their report was on its way, and arrived: they are not lost, and were not dropped.
fn take_out_of_gaps(transaction: &Transaction<'_>, arrived: SequenceRange) -> rusqlite::Result<()> {
    for range in gaps::take_out(transaction, arrived)? {
        transaction
            .prepare_cached(
                // A record that grew into its neighbour also covers rows that are still here.
                "UPDATE queue_head SET dropped = max(0, dropped - (?2 - ?1 + 1) + \
                 (SELECT count(*) FROM observation WHERE seq BETWEEN ?1 AND ?2))",
            )?
            .execute([key(range.first), key(range.last)])?;
    }
    Ok(())
}

/// Deletes the pending rows of a range; returns how many there were.
fn delete(transaction: &Transaction<'_>, range: SequenceRange) -> rusqlite::Result<u64> {
    let bounds = [key(range.first), key(range.last)];
    let (rows, bytes): (i64, i64) = transaction
        .prepare_cached(&format!(
            "SELECT count(*), coalesce(sum({BYTES}), 0) FROM observation WHERE seq BETWEEN ?1 AND ?2"
        ))?
        .query_row(bounds, |row| Ok((row.get(0)?, row.get(1)?)))?;
    if rows > 0 {
        transaction
            .prepare_cached("DELETE FROM observation WHERE seq BETWEEN ?1 AND ?2")?
            .execute(bounds)?;
        add_to_totals(transaction, -rows, -bytes)?;
    }
    Ok(row::count(rows))
}

/// Moves one row to the dead letters; 0 if it is not pending.
fn bury(transaction: &Transaction<'_>, rejection: &Rejection) -> rusqlite::Result<u64> {
    let moved = transaction
        .prepare_cached(&format!(
            "INSERT INTO dead_letter (seq, {COLUMNS}, rejected_at_ms, rejection, detail) \
             SELECT seq, {COLUMNS}, ?2, ?3, ?4 FROM observation WHERE seq = ?1"
        ))?
        .execute(params![
            key(rejection.seq),
            clock::now().get(),
            rejection.reason.as_str(),
            row::cut(&rejection.message, NOTE_BYTES),
        ])?;
    if moved > 0 {
        delete(
            transaction,
            SequenceRange {
                first: rejection.seq,
                last: rejection.seq,
            },
        )?;
    }
    Ok(moved as u64)
}

fn keep_dead_letters_bounded(connection: &Connection) -> rusqlite::Result<()> {
    let dropped = connection
        .prepare_cached(
            "DELETE FROM dead_letter WHERE seq IN (SELECT seq FROM dead_letter ORDER BY seq DESC LIMIT -1 OFFSET ?1)",
        )?
        .execute([key(DEAD_LETTERS)])?;
    if dropped > 0 {
        let dropped = i64::try_from(dropped).unwrap_or(i64::MAX);
        connection.execute(
            "UPDATE queue_head SET dead_letters_dropped = dead_letters_dropped + ?1",
            [dropped],
        )?;
    }
    Ok(())
}

/// Forgets attempts at rows that are gone.
pub(super) fn forget_attempts(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM failed_attempt WHERE last < (SELECT coalesce(min(seq), ?1) FROM observation)",
        )?
        .execute([key(Sequence::MAX)])
        .map(|_| ())
}
