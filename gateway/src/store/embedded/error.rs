//! What can go wrong with the embedded store: at opening, and at work.

use std::{path::PathBuf, sync::Arc};

/// A file that cannot be this gateway's store. It is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory does not exist.
    #[error("store {path}: the directory {directory} does not exist", path = path.display(), directory = directory.display())]
    NoDirectory {
        /// The file asked for.
        path: PathBuf,
        /// Its directory.
        directory: PathBuf,
    },
    /// The file does not exist, and the command does not create one.
    #[error("store {}: no such file (apollo-gateway serve or apply creates it)", .0.display())]
    Missing(PathBuf),
    /// SQLite cannot open, read or write it.
    #[error("store {}: cannot be opened for reading and writing", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// A database, but not a gateway's.
    #[error("store {}: this is another program's database", .0.display())]
    Foreign(PathBuf),
    /// Written by a newer Apollo.
    #[error(
        "store {}: schema version {found} is newer than this program's {known}; use a newer apollo-gateway",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// The machine would not give a thread.
    #[error("store {}: no thread for it", path.display())]
    Thread {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// A step that the open store could not do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// History has another observation under one of the sequences: the step stands for nothing.
    #[error("history has another observation under one of these sequences")]
    Diverged {
        /// The instance's highest sequence in history.
        highest: apollo_wire::Sequence,
    },
    /// As many steps wait already as are allowed to.
    #[error("the store has too much to do")]
    Overloaded,
    /// The store is being closed.
    #[error("the store is closed")]
    Closed,
    /// SQLite failed: disk full, locked by another process for too long, an IO error.
    #[error("the store's database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The transaction that held this step (and perhaps others) could not be committed.
    #[error("the store's transaction failed")]
    Commit(#[source] Arc<rusqlite::Error>),
    /// A stored object does not read as what it was written as.
    #[error("{object} in the store cannot be read: {detail}")]
    Damaged {
        /// Kind, namespace and name.
        object: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A resourceVersion counter or another number outside what the file can hold.
    #[error("{0} does not fit the store")]
    OutOfRange(&'static str),
}

impl From<apollo_wire::CanonicalSpecError> for StoreError {
    fn from(_: apollo_wire::CanonicalSpecError) -> Self {
        Self::OutOfRange("a spec")
    }
}
