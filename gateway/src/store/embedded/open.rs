//! Opening the file: found or made, checked, never reset.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::{error::OpenError, schema};

/// How long a step waits for another process's transaction before it gives up. Every transaction here takes well under a
/// second; the caller's own patience (a request's time limit) is longer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The same while opening: a gateway that cannot start has to say so within five seconds, its other steps included.
const BUSY_TIMEOUT_OPENING: Duration = Duration::from_secs(3);
/// Prepared statements kept per connection: all there are, with room.
const CACHED_STATEMENTS: usize = 64;
/// Attempts to switch a new file to WAL. Several processes may create it at once, and SQLite does not wait for a lock in
/// that switch; between attempts a write transaction waits for the others.
const WAL_ATTEMPTS: usize = 20;
/// Size to which the write-ahead log is cut after a checkpoint: large enough not to be cut in normal work.
const WAL_KEPT_BYTES: i64 = 64 * 1024 * 1024;

/// What to do if there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Create it.
    Create,
    /// Refuse.
    Refuse,
}

/// Opens a connection to a store's file that is known to be usable.
pub(super) fn open(path: &Path, missing: Missing) -> Result<Connection, OpenError> {
    check_path(path, missing)?;
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if missing == Missing::Create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let unusable = |source| OpenError::Unusable {
        path: path.to_owned(),
        source,
    };
    let mut connection = Connection::open_with_flags(path, flags).map_err(unusable)?;
    connection.busy_timeout(BUSY_TIMEOUT_OPENING).map_err(unusable)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    let found = connection
        .unchecked_transaction()
        .and_then(|snapshot| version(&snapshot))
        .map_err(unusable)?;
    match found {
        Found::Empty => create(&mut connection, path)?,
        found => accept(found, path)?,
    }
    tune(&connection).map_err(unusable)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(unusable)?;
    Ok(connection)
}

fn check_path(path: &Path, missing: Missing) -> Result<(), OpenError> {
    let directory: PathBuf = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    if !directory.is_dir() {
        return Err(OpenError::NoDirectory {
            path: path.to_owned(),
            directory,
        });
    }
    if missing == Missing::Refuse && !path.exists() {
        return Err(OpenError::Missing(path.to_owned()));
    }
    Ok(())
}

enum Found {
    Empty,
    Foreign,
    Version(i64),
}

/// In a transaction, so that the three belong together: between two snapshots another process may make the tables, and
/// a store half seen looks like somebody else's file.
fn version(snapshot: &Transaction<'_>) -> rusqlite::Result<Found> {
    let application_id: i64 = snapshot.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version: i64 = snapshot.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 = snapshot.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    Ok(match (application_id, version, tables) {
        (0, 0, 0) => Found::Empty,
        (schema::APPLICATION_ID, version, _) => Found::Version(version),
        _ => Found::Foreign,
    })
}

fn accept(found: Found, path: &Path) -> Result<(), OpenError> {
    match found {
        Found::Version(schema::VERSION) => Ok(()),
        Found::Version(found) if found > schema::VERSION => Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known: schema::VERSION,
        }),
        _ => Err(OpenError::Foreign(path.to_owned())),
    }
}

/// Makes the tables, unless another process has just done so.
fn create(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let unusable = |source| OpenError::Unusable {
        path: path.to_owned(),
        source,
    };
    switch_to_wal(connection).map_err(unusable)?;
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(unusable)?;
    match version(&transaction).map_err(unusable)? {
        Found::Empty => transaction.execute_batch(&schema::create()).map_err(unusable)?,
        found => accept(found, path)?,
    }
    transaction.commit().map_err(unusable)
}

fn switch_to_wal(connection: &mut Connection) -> rusqlite::Result<()> {
    let mut attempt = 1;
    loop {
        match connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Ok(_) => return Ok(()),
            Err(error) if attempt == WAL_ATTEMPTS || !is_busy(&error) => return Err(error),
            Err(_) => attempt += 1,
        }
        connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?
            .commit()?;
    }
}

/// Whether another connection is in the way.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Settings that belong to a connection, not to the file.
fn tune(connection: &Connection) -> rusqlite::Result<()> {
    // FULL: a commit is on the disk before anybody is told of it.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}
