//! The supervisor's children, so that those left over after the agent was killed are found and not started twice.

use apollo_wire::{ProcessRef, SpecHash};
use rusqlite::{Row, params};

use super::{Queue, StorageError, row};

/// A child process the supervisor started. Pid, start time and boot together name one process for ever; a pid alone is
/// used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupervisedProcess {
    /// The DeviceProcess it runs.
    pub process: ProcessRef,
    /// Its process id, also its process group.
    pub pid: u32,
    /// Its start time in clock ticks since boot, field 22 of `/proc/PID/stat`.
    pub pid_start_ticks: u64,
    /// The boot it was started in.
    pub boot_id: String,
    /// The spec it was started from.
    pub spec_hash: SpecHash,
}

impl Queue {
    /// Notes a child, in place of an earlier one of the same DeviceProcess.
    ///
    /// # Errors
    /// Any failure of SQLite.
    pub fn put_supervised(&mut self, child: &SupervisedProcess) -> Result<(), StorageError> {
        let put = self.connection.execute(
            "INSERT OR REPLACE INTO supervised_process (process, pid, pid_start_ticks, boot_id, spec_hash) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                child.process.as_str(),
                child.pid,
                row::key(child.pid_start_ticks),
                child.boot_id,
                child.spec_hash.to_string()
            ],
        );
        put.map(|_| ())
            .map_err(|source| StorageError::new("note a child process", source))
    }

    /// All noted children, by name.
    ///
    /// # Errors
    /// Any failure of SQLite, a row that cannot be read back.
    pub fn list_supervised(&self) -> Result<Vec<SupervisedProcess>, StorageError> {
        let sql = "SELECT process, pid, pid_start_ticks, boot_id, spec_hash FROM supervised_process ORDER BY process";
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_map([], read)?.collect())
            .map_err(|source| StorageError::new("list child processes", source))
    }

    /// Forgets a child.
    ///
    /// # Errors
    /// Any failure of SQLite.
    pub fn delete_supervised(&mut self, process: &ProcessRef) -> Result<(), StorageError> {
        let deleted = self.connection.execute(
            "DELETE FROM supervised_process WHERE process = ?1",
            [process.as_str()],
        );
        deleted
            .map(|_| ())
            .map_err(|source| StorageError::new("forget a child process", source))
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<SupervisedProcess> {
    let process: String = row.get(0)?;
    let spec_hash: String = row.get(4)?;
    Ok(SupervisedProcess {
        process: process
            .parse()
            .map_err(|error: apollo_wire::NameError| row::unreadable(0, error))?,
        pid: row.get(1)?,
        pid_start_ticks: row::count(row.get(2)?),
        boot_id: row.get(3)?,
        spec_hash: spec_hash
            .parse()
            .map_err(|error: apollo_wire::SpecHashError| row::unreadable(4, error))?,
    })
}
