//! What can go wrong with the database, by operation.

use std::{io, path::PathBuf};

use apollo_wire::Defect;

/// The database could not be opened. Nothing was changed in it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory could not be made or used.
    #[error("cannot use the data directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is damaged.
    #[error(
        "{} is damaged or not a database; it is left as it is: move it away to start with an empty queue, or save its \
         rows with sqlite3's .dump as docs/storage.md says under \"Damage\"", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A SQLite database, but not one of the agent's.
    #[error("{} is a database of another program; choose another data directory", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Written by a newer agent.
    #[error(
        "{} has schema version {found}, this agent knows up to {known}: use the newer agent, or move the file away",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version this program can use.
        known: i64,
    },
    /// Any other failure of SQLite.
    #[error("cannot open {}", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
}

/// A database operation failed; its transaction was rolled back.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation}{}", hint(source))]
pub struct StorageError {
    operation: &'static str,
    #[source]
    source: rusqlite::Error,
}

impl StorageError {
    pub(super) fn new(operation: &'static str, source: rusqlite::Error) -> Self {
        Self { operation, source }
    }

    /// True if there was no room on the disk: waiting or freeing space helps, restarting does not.
    pub fn is_disk_full(&self) -> bool {
        self.source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
    }
}

/// What SQLite's error means for the person who has to act on it.
fn hint(source: &rusqlite::Error) -> &'static str {
    match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => ": the disk is full; nothing was changed",
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            ": another process has kept the database locked; nothing was changed"
        }
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            ": the file is damaged"
        }
        Some(rusqlite::ErrorCode::ReadOnly) => ": the file or its directory is not writable",
        _ => "",
    }
}

/// Observations could not be stored. None of them was.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// One of them breaks a bound of the contract.
    #[error("observation {index} cannot be stored")]
    Defect {
        /// Its position among those given, from 0.
        index: usize,
        /// Which bound.
        #[source]
        source: Defect,
    },
    /// The database refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
