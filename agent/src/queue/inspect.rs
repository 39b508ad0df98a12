//! Looking at the queue, for people: the SQL views as values.

use apollo_wire::{InstanceId, QueueDepth};
use rusqlite::Row;
use serde::Serialize;

use super::{
    Queue, StorageError,
    row::{self, key},
};

/// The queue in numbers, as `queue stats --json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// The database's instance.
    pub instance: InstanceId,
    /// Pending rows.
    pub rows: u64,
    /// Their bytes, as `max_bytes` counts.
    pub bytes: u64,
    /// When the oldest pending row was observed, ISO-8601 UTC.
    pub oldest: Option<String>,
    /// Dead letters.
    pub dead: u64,
    /// Gap records.
    pub gaps: u64,
    /// Rows dropped for want of room since the instance began.
    pub dropped: u64,
}

/// A row of the view `queue`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PendingRow {
    /// Its sequence.
    pub seq: u64,
    /// When it was observed, ISO-8601 UTC.
    pub observed_at: String,
    /// The DeviceProcess.
    pub process: String,
    /// Its state, if the observation has one.
    pub state: Option<String>,
    /// A word for machines.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// What the clock was worth when it was recorded.
    pub clock: String,
    /// Unanswered attempts to send it.
    pub attempts: u64,
    /// What it counts towards `max_bytes`.
    pub bytes: u64,
}

/// A row of the view `dead_letters`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// Its sequence.
    pub seq: u64,
    /// When it was observed, ISO-8601 UTC.
    pub observed_at: String,
    /// The DeviceProcess.
    pub process: String,
    /// The observation's own reason.
    pub reason: String,
    /// When the refusal arrived, ISO-8601 UTC.
    pub rejected_at: String,
    /// Why it was refused: NotBound, TimestampInFuture, TimestampTooOld, Malformed.
    pub rejection: String,
    /// The gateway's words.
    pub detail: String,
}

/// A row of the view `gaps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GapRecord {
    /// First lost sequence.
    pub first: u64,
    /// Last lost sequence.
    pub last: u64,
    /// QueueFull, Purged or Corrupt.
    pub reason: String,
    /// When it was recorded, ISO-8601 UTC.
    pub created_at: String,
}

impl Queue {
    /// The queue in numbers.
    ///
    /// # Errors
    /// Any failure of SQLite.
    pub fn stats(&self) -> Result<Stats, StorageError> {
        let sql = "SELECT pending_rows, pending_bytes, (SELECT observed_at FROM queue ORDER BY seq LIMIT 1), \
                   (SELECT count(*) FROM dead_letter), (SELECT count(*) FROM gap), dropped, instance FROM queue_head";
        let read = |row: &Row<'_>| {
            let instance: String = row.get(6)?;
            Ok(Stats {
                rows: row::count(row.get(0)?),
                bytes: row::count(row.get(1)?),
                oldest: row.get(2)?,
                dead: row::count(row.get(3)?),
                gaps: row::count(row.get(4)?),
                dropped: row::count(row.get(5)?),
                instance: instance
                    .parse()
                    .map_err(|error: apollo_wire::NameError| row::unreadable(6, error))?,
            })
        };
        self.connection
            .query_row(sql, [], read)
            .map_err(|source| StorageError::new("count the queue", source))
    }

    /// How full the queue is: one row of running totals, fit for every append.
    ///
    /// # Errors
    /// Any failure of SQLite.
    pub fn depth(&self) -> Result<QueueDepth, StorageError> {
        let read = |row: &Row<'_>| {
            Ok(QueueDepth {
                pending: row::count(row.get(0)?),
                dropped: row::count(row.get(1)?),
            })
        };
        self.connection
            .prepare_cached("SELECT pending_rows, dropped FROM queue_head")
            .and_then(|mut statement| statement.query_row([], read))
            .map_err(|source| StorageError::new("look how full the queue is", source))
    }

    /// The oldest pending rows, ascending, at most `limit`.
    ///
    /// # Errors
    /// Any failure of SQLite.
    pub fn list(&self, limit: u64) -> Result<Vec<PendingRow>, StorageError> {
        self.rows(
            "list the queue",
            "SELECT * FROM queue ORDER BY seq LIMIT ?1",
            limit,
            |row| {
                Ok(PendingRow {
                    seq: row::sequence(row.get("seq")?),
                    observed_at: row.get("observed_at")?,
                    process: row.get("process")?,
                    state: row.get("state")?,
                    reason: row.get("reason")?,
                    message: row.get("message")?,
                    clock: row.get("clock")?,
                    attempts: row::count(row.get("attempts")?),
                    bytes: row::count(row.get("bytes")?),
                })
            },
        )
    }

    /// The dead letters, ascending.
    ///
    /// # Errors
    /// Any failure of SQLite.
    pub fn dead(&self) -> Result<Vec<DeadLetter>, StorageError> {
        self.rows(
            "list the dead letters",
            "SELECT * FROM dead_letters ORDER BY seq LIMIT ?1",
            u64::MAX,
            |row| {
                Ok(DeadLetter {
                    seq: row::sequence(row.get("seq")?),
                    observed_at: row.get("observed_at")?,
                    process: row.get("process")?,
                    reason: row.get("reason")?,
                    rejected_at: row.get("rejected_at")?,
                    rejection: row.get("rejection")?,
                    detail: row.get("detail")?,
                })
            },
        )
    }

    /// The gap records, ascending.
    ///
    /// # Errors
    /// Any failure of SQLite.
    pub fn gaps(&self) -> Result<Vec<GapRecord>, StorageError> {
        self.rows(
            "list the gaps",
            "SELECT * FROM gaps ORDER BY first LIMIT ?1",
            u64::MAX,
            |row| {
                Ok(GapRecord {
                    first: row::sequence(row.get("first")?),
                    last: row::sequence(row.get("last")?),
                    reason: row.get("reason")?,
                    created_at: row.get("created_at")?,
                })
            },
        )
    }

    fn rows<T>(
        &self,
        operation: &'static str,
        sql: &str,
        limit: u64,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StorageError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_map([key(limit)], read)?.collect())
            .map_err(|source| StorageError::new(operation, source))
    }
}
