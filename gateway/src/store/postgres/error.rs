//! What can go wrong with history in Postgres: at the start, and at work. No text here ever holds the URL, which may
//! have a password in it.

use std::{error::Error, path::PathBuf};

use deadpool_postgres::PoolError;

/// History that cannot be used. Nothing of the database has been changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenHistoryError {
    /// Not a URL that can be used.
    #[error("history: {0}")]
    Url(#[from] UrlError),
    /// The file of `sslrootcert` cannot be read.
    #[error("history: the authority's file {} cannot be read", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file of `sslrootcert` holds no certificates.
    #[error("history: {} does not hold certificates in PEM form", .0.display())]
    NoCertificates(PathBuf),
    /// No connection, or the server refused it.
    #[error("history: Postgres at {server} cannot be used")]
    Unusable {
        /// Host, port and database.
        server: String,
        /// What it said.
        #[source]
        source: HistoryError,
    },
    /// No answer in time.
    #[error("history: Postgres at {server} did not answer in time")]
    TooSlow {
        /// Host, port and database.
        server: String,
    },
    /// A database that cannot hold every text.
    #[error(
        "history: the database at {server} has the encoding {found}; Apollo needs UTF8 (createdb --encoding=UTF8)"
    )]
    NotUtf8 {
        /// Host, port and database.
        server: String,
        /// Its encoding.
        found: String,
    },
    /// A schema `apollo` that is somebody else's.
    #[error("history: the schema apollo in the database at {server} is another program's")]
    Foreign {
        /// Host, port and database.
        server: String,
    },
    /// Written by a newer Apollo.
    #[error(
        "history: schema version {found} at {server} is newer than this program's {known}; use a newer apollo-gateway"
    )]
    Newer {
        /// Host, port and database.
        server: String,
        /// Its version.
        found: i32,
        /// The newest this program knows.
        known: i32,
    },
}

/// What is wrong with the URL of history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("expected postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Scheme,
    /// It cannot be taken apart. What exactly is wrong is not repeated: it may be a piece of the password.
    #[error(
        "the postgres:// URL cannot be read; special characters in user and password are written as %XX, \
         parameters are those of docs/storage-postgres.md"
    )]
    Unreadable,
    /// A parameter with a value that means nothing.
    #[error("sslmode is disable, prefer or require")]
    SslMode,
    /// TLS without anything to verify the server's certificate with.
    #[error("TLS needs sslrootcert=FILE, the authority that the server's certificate is verified with")]
    NoAuthority,
}

/// A step that could not be done. Nothing of it stands, or it stands without anybody being told: it may be repeated.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// History has another observation under one of the sequences: nothing of the step stands.
    #[error("history has another observation under one of these sequences")]
    Diverged {
        /// The instance's highest sequence in history.
        highest: apollo_wire::Sequence,
    },
    /// As many steps wait already as are allowed to.
    #[error("history has too much to do")]
    Overloaded,
    /// No connection became free in time, or none could be made in time.
    #[error("no connection to Postgres in time")]
    NoConnection,
    /// The step was not finished in time.
    #[error("Postgres did not answer in time")]
    TooSlow,
    /// Postgres refused, or the connection broke.
    #[error("Postgres: {}", in_one_line(.0))]
    Postgres(tokio_postgres::Error),
    /// Rows of a life changed although its lock was held: somebody else writes into Apollo's tables.
    #[error("rows of history were changed by another program")]
    Disturbed,
    /// A stored observation does not read as what it was written as.
    #[error("an observation in history cannot be read: {0} is none that this program knows")]
    Damaged(&'static str),
    /// A number that the tables cannot hold.
    #[error("{0} does not fit history")]
    OutOfRange(&'static str),
    /// The request is not about history.
    #[error("not a request about history")]
    NotHistory,
}

impl From<tokio_postgres::Error> for HistoryError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl From<PoolError> for HistoryError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Postgres(error),
            PoolError::Timeout(_)
            | PoolError::Closed
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_) => Self::NoConnection,
        }
    }
}

/// What the library says ("db error") with what the server said, which is its source and the part that helps.
fn in_one_line(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.replace('\n', " ")
}
