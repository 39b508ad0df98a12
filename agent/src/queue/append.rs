//! Storing observations.

use std::ops::RangeInclusive;

use apollo_wire::{Sequence, limits::MESSAGE_BYTES};
use rusqlite::{Connection, Statement, Transaction, TransactionBehavior, params};

use super::{
    AppendError, NewObservation, Queue, StorageError, overflow,
    row::{self, COLUMNS},
};

const OPERATION: &str = "store observations";

impl Queue {
    /// Stores observations in order, all or none, and returns their sequences, which follow each other without holes;
    /// an empty range (`1..=0`) for no observations. They are on disk when this returns. Messages over the contract's
    /// length are cut between characters. Where the queue is full, the oldest pending rows make room and become gap
    /// records in the same transaction; with limits smaller than `rows` that includes the first of `rows`.
    ///
    /// # Errors
    /// An observation that breaks a bound of the contract, a full disk, any failure of SQLite: nothing was stored.
    pub fn append(&mut self, rows: &[NewObservation]) -> Result<RangeInclusive<Sequence>, AppendError> {
        for (index, row) in rows.iter().enumerate() {
            row.check()
                .map_err(|source| AppendError::Defect { index, source })?;
        }
        if rows.is_empty() {
            return Ok(RangeInclusive::new(1, 0));
        }
        let (limits, boot_id) = (self.limits, &self.boot_id);
        let store = |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let boot = boot_key(&transaction, boot_id)?;
            let range = insert(&transaction, boot, rows)?;
            overflow::trim(&transaction, limits)?;
            transaction.commit()?;
            Ok(range)
        };
        store(&mut self.connection).map_err(|source| StorageError::new(OPERATION, source).into())
    }
}

/// The highest sequence ever handed out; SQLite keeps it beside the AUTOINCREMENT key.
pub(super) fn high_water(connection: &Connection) -> rusqlite::Result<Sequence> {
    let sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'observation'";
    connection
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))
        .map(row::sequence)
}

/// The key of the boot, which is made at the first row of a boot. Boots that no row names are forgotten then.
pub(super) fn boot_key(transaction: &Transaction<'_>, boot_id: &str) -> rusqlite::Result<i64> {
    if let Some(key) = known_boot_key(transaction, boot_id)? {
        return Ok(key);
    }
    transaction.execute(
        "DELETE FROM boot WHERE id NOT IN (SELECT boot FROM observation UNION SELECT boot FROM dead_letter)",
        [],
    )?;
    transaction.execute("INSERT INTO boot (boot_id) VALUES (?1)", [boot_id])?;
    Ok(transaction.last_insert_rowid())
}

/// The key of the boot, if any row was recorded in it.
pub(super) fn known_boot_key(connection: &Connection, boot_id: &str) -> rusqlite::Result<Option<i64>> {
    use rusqlite::OptionalExtension;
    let mut statement = connection.prepare_cached("SELECT id FROM boot WHERE boot_id = ?1")?;
    statement.query_row([boot_id], |row| row.get(0)).optional()
}

/// Inserts rows of one boot and adds them to the totals.
fn insert(
    transaction: &Transaction<'_>,
    boot: i64,
    rows: &[NewObservation],
) -> rusqlite::Result<RangeInclusive<Sequence>> {
    let mut added_bytes = 0;
    let mut statement = transaction.prepare_cached(&insert_sql())?;
    for observation in rows {
        added_bytes += insert_row(&mut statement, boot, observation)?;
    }
    let last = row::sequence(transaction.last_insert_rowid());
    let added_rows = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    add_to_totals(transaction, added_rows, added_bytes)?;
    Ok(RangeInclusive::new(
        (last + 1).saturating_sub(rows.len() as u64),
        last,
    ))
}

fn insert_sql() -> String {
    format!(
        "INSERT INTO observation ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
    )
}

/// Inserts one row; returns its bytes.
fn insert_row(
    statement: &mut Statement<'_>,
    boot: i64,
    observation: &NewObservation,
) -> rusqlite::Result<i64> {
    let message = row::cut(&observation.message, MESSAGE_BYTES);
    let values_json = row::values_json(&observation.values);
    let bytes = row::bytes(observation, message, values_json.as_deref());
    statement.execute(params![
        bytes,
        observation.process.as_str(),
        observation.observed_at.get(),
        row::clock_text(observation.clock),
        boot,
        i64::try_from(observation.uptime_ms).unwrap_or(i64::MAX),
        observation.state.map(row::state_text),
        observation.spec_hash.map(|hash| hash.to_string()),
        observation.pid,
        observation.exit_code,
        observation.restarts,
        observation.reason,
        message,
        values_json,
    ])?;
    Ok(bytes)
}

/// Adds to the running totals of pending rows and bytes; negative to subtract.
pub(super) fn add_to_totals(connection: &Connection, rows: i64, bytes: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE queue_head SET pending_rows = pending_rows + ?1, pending_bytes = pending_bytes + ?2";
    connection.prepare_cached(sql)?.execute([rows, bytes]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock, queue::QueueLimits};

    fn rows(count: usize) -> Vec<NewObservation> {
        let mut row = NewObservation::new("default/a".parse().unwrap(), &clock::read());
        row.message = "m".repeat(MESSAGE_BYTES);
        vec![row; count]
    }

    #[test]
    fn a_full_disk_stores_nothing_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let mut queue = Queue::open(dir.path(), QueueLimits::default()).unwrap();
        queue.append(&rows(1)).unwrap();
        // SQLite's own page limit answers as a full disk does; it cannot go below the pages there are.
        queue
            .connection
            .pragma_update_and_check(None, "max_page_count", 1, |_| Ok(()))
            .unwrap();
        let error = queue.append(&rows(1_000)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot store observations: the disk is full; nothing was changed"
        );
        assert!(matches!(error, AppendError::Storage(storage) if storage.is_disk_full()));
        queue
            .connection
            .pragma_update_and_check(None, "max_page_count", 1_000_000, |_| Ok(()))
            .unwrap();
        assert_eq!(queue.stats().unwrap().rows, 1);
        assert_eq!(queue.append(&rows(1)).unwrap(), 2..=2);
    }

    #[test]
    fn every_commit_is_synced() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path(), QueueLimits::default()).unwrap();
        let pragma = |name| {
            queue
                .connection
                .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
                .unwrap()
        };
        assert_eq!(pragma("synchronous"), 2, "FULL");
        let mode: String = queue
            .connection
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap();
        assert_eq!(mode, "wal");
    }
}
