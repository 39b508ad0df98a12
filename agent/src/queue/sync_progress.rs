//! How syncing goes: what `status` and the view `sync_status` tell, and the day's traffic.

use apollo_wire::{InstanceId, UnixMillis};
use rusqlite::{Row, params};

use super::{Queue, StorageError, limits::NOTE_BYTES, row};

/// The state of syncing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncStatus {
    /// The database's instance.
    pub instance: InstanceId,
    /// When an exchange last succeeded.
    pub last_success: Option<UnixMillis>,
    /// Why the last attempt failed; absent after a success.
    pub last_error: Option<String>,
    /// When it failed.
    pub last_error_at: Option<UnixMillis>,
    /// When the agent means to try next.
    pub next_attempt: Option<UnixMillis>,
    /// Observations acknowledged since the database was made.
    pub acked_total: u64,
    /// IP bytes sent on this day (UTC).
    pub bytes_sent_today: u64,
    /// IP bytes received on this day (UTC).
    pub bytes_received_today: u64,
    /// The instance before this one, if there was one.
    pub previous_instance: Option<String>,
    /// When this instance was started in place of the previous one.
    pub renewed_at: Option<UnixMillis>,
    /// Why.
    pub renewed_why: Option<String>,
}

impl Queue {
    /// Reads how syncing goes; `now` decides which day is today.
    ///
    /// # Errors
    /// Any failure of SQLite.
    pub fn sync_status(&self, now: UnixMillis) -> Result<SyncStatus, StorageError> {
        self.connection
            .prepare_cached(
                "SELECT instance, last_success_ms, last_error, last_error_at_ms, next_attempt_ms, acked_total, \
                 iif(traffic_day = ?1, bytes_sent, 0), iif(traffic_day = ?1, bytes_received, 0), \
                 previous_instance, renewed_at_ms, renewed_why FROM queue_head, sync_progress",
            )
            .and_then(|mut statement| statement.query_row([day(now)], read))
            .map_err(|source| StorageError::new("read the state of syncing", source))
    }

    /// Notes that an exchange succeeded: the last error is over.
    ///
    /// # Errors
    /// Any failure of SQLite.
    pub fn record_success(&mut self, at: UnixMillis, next: Option<UnixMillis>) -> Result<(), StorageError> {
        let sql = "UPDATE sync_progress SET last_success_ms = ?1, next_attempt_ms = ?2, last_error = NULL, \
                   last_error_at_ms = NULL";
        self.note(
            "note a success",
            sql,
            params![at.get(), next.map(UnixMillis::get)],
        )
    }

    /// Notes why an attempt failed and when the next one is due. The text is cut to 512 bytes.
    ///
    /// # Errors
    /// Any failure of SQLite.
    pub fn record_failure(
        &mut self,
        at: UnixMillis,
        error: &str,
        next: Option<UnixMillis>,
    ) -> Result<(), StorageError> {
        let sql = "UPDATE sync_progress SET last_error = ?2, last_error_at_ms = ?1, next_attempt_ms = ?3";
        self.note(
            "note a failure",
            sql,
            params![at.get(), row::cut(error, NOTE_BYTES), next.map(UnixMillis::get)],
        )
    }

    /// Notes when the next attempt is due; absent when none is planned.
    ///
    /// # Errors
    /// Any failure of SQLite.
    pub fn set_next_attempt(&mut self, next: Option<UnixMillis>) -> Result<(), StorageError> {
        let sql = "UPDATE sync_progress SET next_attempt_ms = ?1";
        self.note("note the next attempt", sql, params![next.map(UnixMillis::get)])
    }

    /// Adds to the day's traffic; the counters start again at 0 with each new day (UTC).
    ///
    /// # Errors
    /// Any failure of SQLite.
    pub fn add_traffic(&mut self, now: UnixMillis, sent: u64, received: u64) -> Result<(), StorageError> {
        let sql = "UPDATE sync_progress SET bytes_sent = iif(traffic_day = ?1, bytes_sent, 0) + ?2, \
                   bytes_received = iif(traffic_day = ?1, bytes_received, 0) + ?3, traffic_day = ?1";
        self.note(
            "count traffic",
            sql,
            params![day(now), row::key(sent), row::key(received)],
        )
    }

    fn note(
        &mut self,
        operation: &'static str,
        sql: &str,
        values: &[&dyn rusqlite::ToSql],
    ) -> Result<(), StorageError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values))
            .map(|_| ())
            .map_err(|source| StorageError::new(operation, source))
    }
}

/// The UTC day, as SQLite's `date()` writes it.
fn day(now: UnixMillis) -> String {
    now.to_string().chars().take("2026-11-23".len()).collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<SyncStatus> {
    let instance: String = row.get(0)?;
    let time = |column| {
        row.get::<_, Option<i64>>(column)
            .map(|ms| ms.map(UnixMillis::saturating))
    };
    Ok(SyncStatus {
        instance: instance
            .parse()
            .map_err(|error: apollo_wire::NameError| row::unreadable(0, error))?,
        last_success: time(1)?,
        last_error: row.get(2)?,
        last_error_at: time(3)?,
        next_attempt: time(4)?,
        acked_total: row::count(row.get(5)?),
        bytes_sent_today: row::count(row.get(6)?),
        bytes_received_today: row::count(row.get(7)?),
        previous_instance: row.get(8)?,
        renewed_at: time(9)?,
        renewed_why: row.get(10)?,
    })
}
