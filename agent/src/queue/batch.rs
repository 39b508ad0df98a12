//! What to send next.

use std::ops::RangeInclusive;

use apollo_wire::{Clock, Gap, GapReason, InstanceId, Observation, QueueDepth, Sequence, SequenceRange};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::{
    Queue, StorageError,
    append::{add_to_totals, known_boot_key},
    gaps,
    limits::FAILED_ATTEMPTS,
    open::read_instance,
    row::{self, BYTES, COLUMNS, key, sequence},
};

/// What a report carries of the queue, read in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The instance all sequences below belong to.
    pub instance: InstanceId,
    /// The oldest pending rows, ascending.
    pub observations: Vec<Observation>,
    /// Gap records not yet taken by a gateway.
    pub gaps: Vec<Gap>,
    /// How full the queue is, these rows included.
    pub queue: QueueDepth,
    /// The highest sequence ever offered before this batch; the report's `offeredThrough`.
    pub offered_through: Sequence,
}

impl Batch {
    /// Nothing to send but proof of life.
    pub fn is_empty(&self) -> bool {
        self.observations.is_empty() && self.gaps.is_empty()
    }

    /// The first and last sequence in it; none for a batch without observations.
    pub fn range(&self) -> Option<RangeInclusive<Sequence>> {
        Some(self.observations.first()?.seq..=self.observations.last()?.seq)
    }
}

/// Rows read for a batch, and those that could not be.
#[derive(Default)]
struct Found {
    observations: Vec<Observation>,
    /// Their keys: below 1, which the queue never hands out, a key names no sequence, so no verdict could settle it.
    unreadable: Vec<i64>,
}

impl Queue {
    /// The oldest pending rows: at most `max_rows`, at most `max_bytes` of them as the view's `bytes` counts, but at
    /// least one if there is any. An observation from an earlier boot whose clock ran free gets clock unknown. A row
    /// that cannot be read back is dropped and becomes a gap record (Corrupt), as does a gap record that cannot be read.
    ///
    /// # Errors
    /// Any failure of SQLite.
    pub fn next_batch(&mut self, max_rows: usize, max_bytes: usize) -> Result<Batch, StorageError> {
        let read = || -> rusqlite::Result<Batch> {
            let transaction = self.connection.unchecked_transaction()?;
            let found = find(&transaction, &self.boot_id, max_rows, max_bytes)?;
            if found.unreadable.is_empty() && !gaps::any_unreadable(&transaction)? {
                return assemble(&transaction, found.observations);
            }
            drop(transaction);
            let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            let found = find(&transaction, &self.boot_id, max_rows, max_bytes)?;
            drop_unreadable(&transaction, &found.unreadable)?;
            let batch = assemble(&transaction, found.observations)?;
            transaction.commit()?;
            Ok(batch)
        };
        let batch = read().map_err(|source| StorageError::new("read pending observations", source))?;
        self.instance = batch.instance;
        Ok(batch)
    }

    /// Notes on disk that sequences up to `through` are about to be offered to a gateway. Called before the first send
    /// of rows above the last note: [`settle`](Queue::settle) touches no row that was never offered, and a database
    /// restored from an old copy shows itself by a lower note than the gateway's. Never lowers; writes nothing when
    /// `through` is not above the last note.
    ///
    /// # Errors
    /// Any failure of SQLite: then nothing may be sent.
    pub fn mark_offered(&mut self, through: Sequence) -> Result<(), StorageError> {
        let mark = || -> rusqlite::Result<()> {
            let noted: i64 = self
                .connection
                .prepare_cached("SELECT offered_through FROM queue_head")?
                .query_row([], |row| row.get(0))?;
            if key(through) <= noted {
                return Ok(());
            }
            self.connection
                .prepare_cached("UPDATE queue_head SET offered_through = max(offered_through, ?1)")?
                .execute([key(through)])
                .map(|_| ())
        };
        mark().map_err(|source| StorageError::new("note what is about to be offered", source))
    }

    /// Counts one more unanswered attempt for the rows of `range`, for the column `attempts`. One small write, whatever
    /// the size of the range.
    ///
    /// # Errors
    /// Any failure of SQLite.
    pub fn record_attempt_failed(&mut self, range: RangeInclusive<Sequence>) -> Result<(), StorageError> {
        let (first, last) = (key(*range.start()), key(*range.end()));
        let record = || -> rusqlite::Result<()> {
            let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            transaction
                .prepare_cached(
                    "INSERT INTO failed_attempt (first, last, count) VALUES (?1, ?2, 1) \
                     ON CONFLICT (first, last) DO UPDATE SET count = count + 1",
                )?
                .execute([first, last])?;
            transaction
                .prepare_cached(
                    "DELETE FROM failed_attempt WHERE (first, last) IN \
                     (SELECT first, last FROM failed_attempt ORDER BY first DESC, last DESC LIMIT -1 OFFSET ?1)",
                )?
                .execute([key(FAILED_ATTEMPTS)])?;
            transaction.commit()
        };
        record().map_err(|source| StorageError::new("count a failed attempt", source))
    }
}

fn find(
    connection: &Connection,
    boot_id: &str,
    max_rows: usize,
    max_bytes: usize,
) -> rusqlite::Result<Found> {
    let current_boot = known_boot_key(connection, boot_id)?;
    let sql = format!("SELECT seq, {COLUMNS} FROM observation ORDER BY seq LIMIT ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([i64::try_from(max_rows).unwrap_or(i64::MAX)])?;
    let mut found = Found::default();
    let mut bytes = 0_usize;
    while let Some(row) = rows.next()? {
        let key: i64 = row.get(0)?;
        let stored = row::read(row, 1).ok().filter(|_| key > 0);
        let Some(stored) = stored else {
            found.unreadable.push(key);
            continue;
        };
        bytes = bytes.saturating_add(usize::try_from(stored.bytes).unwrap_or(0));
        if bytes > max_bytes && !found.observations.is_empty() {
            break;
        }
        let mut observation = stored.observation.into_wire(sequence(key));
        if observation.clock == Clock::Unsynced && Some(stored.boot) != current_boot {
            observation.clock = Clock::Unknown;
        }
        found.observations.push(observation);
    }
    Ok(found)
}

fn assemble(connection: &Connection, observations: Vec<Observation>) -> rusqlite::Result<Batch> {
    let (pending, dropped, offered): (i64, i64, i64) = connection
        .prepare_cached("SELECT pending_rows, dropped, offered_through FROM queue_head")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(Batch {
        instance: read_instance(connection)?,
        observations,
        gaps: gaps::list(connection)?,
        queue: QueueDepth {
            pending: row::count(pending),
            dropped: row::count(dropped),
        },
        offered_through: sequence(offered),
    })
}

fn drop_unreadable(connection: &Connection, keys: &[i64]) -> rusqlite::Result<()> {
    for key in keys {
        // The size of a damaged row may be damaged too.
        let sql = format!("SELECT {BYTES} FROM observation WHERE seq = ?1");
        let bytes: i64 = connection.query_row(&sql, [key], |row| row.get(0))?;
        connection.execute("DELETE FROM observation WHERE seq = ?1", [key])?;
        add_to_totals(connection, -1, -bytes)?;
    }
    let handed_out = keys.iter().filter(|key| **key > 0).map(|key| sequence(*key));
    gaps::record(
        connection,
        &SequenceRange::collect(handed_out.collect()),
        GapReason::Corrupt,
    )
}
