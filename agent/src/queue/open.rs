//! Opening the file: create it once, bring it up to date, refuse what is not ours.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use apollo_wire::InstanceId;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, config::DbConfig, params};

use super::{
    DATABASE_FILE, Queue, QueueLimits,
    error::OpenError,
    limits::{BUSY_TIMEOUT, PAGE_BYTES, WAL_CHECKPOINT_PAGES, WAL_KEPT_BYTES},
    row::BYTES,
};
use crate::clock;

/// The schema this program writes, in `PRAGMA user_version`.
const SCHEMA_VERSION: i64 = 1;
/// `PRAGMA application_id`: "APLO". Tells the agent's file from any other SQLite database.
const APPLICATION_ID: i64 = 0x41_50_4c_4f;
const SCHEMA: &str = include_str!("schema.sql");
/// Held while a file is created or migrated, so that two first commands at once do not trip over each other.
const LOCK_FILE: &str = "agent.lock";

impl Queue {
    /// Opens `agent.db` in `data_dir`, creating directory and file if missing.
    ///
    /// # Errors
    /// A directory that cannot be used, a damaged, foreign or newer file. The file is never reset.
    pub fn open(data_dir: &Path, limits: QueueLimits) -> Result<Self, OpenError> {
        Self::open_at_boot(data_dir, limits, clock::boot_id())
    }

    /// As [`open`](Self::open), with the id of the boot given: rows of other boots whose clock ran free have no usable
    /// time.
    pub fn open_at_boot(data_dir: &Path, limits: QueueLimits, boot_id: String) -> Result<Self, OpenError> {
        create_directory(data_dir)?;
        let path = data_dir.join(DATABASE_FILE);
        let storage = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => OpenError::Damaged {
                path: path.clone(),
                source,
            },
            _ => OpenError::Storage {
                path: path.clone(),
                source,
            },
        };
        let mut connection = Connection::open(&path).map_err(storage)?;
        configure(&connection).map_err(storage)?;
        if !is_current(&connection).map_err(storage)? || !has_log(&connection).map_err(storage)? {
            let lock = lock(data_dir)?;
            sync_directory_names(data_dir).map_err(|source| OpenError::Directory {
                path: data_dir.to_owned(),
                source,
            })?;
            migrate(&mut connection, &path, &storage)?;
            // A file that was put together from a dump begins without.
            use_log(&connection).map_err(storage)?;
            drop(lock);
        }
        let instance = read_instance(&connection).map_err(storage)?;
        Ok(Self {
            connection,
            limits,
            instance,
            boot_id,
        })
    }

    /// Reads every page, checks the b-trees, and sets the running totals right where they differ from the rows. Takes
    /// time in proportion to the file: for the start of a long-running agent, not for each command.
    ///
    /// # Errors
    /// [`OpenError::Damaged`] with SQLite's first finding; a failure to set the totals right.
    pub fn verify(&self) -> Result<(), OpenError> {
        self.check_pages()?;
        self.recount().map_err(|source| OpenError::Storage {
            path: self.path(),
            source,
        })
    }

    fn path(&self) -> PathBuf {
        self.connection.path().unwrap_or(DATABASE_FILE).into()
    }

    fn check_pages(&self) -> Result<(), OpenError> {
        let path = self.path();
        let finding = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        match finding {
            Ok(finding) if finding == "ok" => Ok(()),
            Ok(finding) => {
                let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
                Err(OpenError::Damaged {
                    path,
                    source: rusqlite::Error::SqliteFailure(code, Some(finding)),
                })
            }
            Err(source) => Err(OpenError::Damaged { path, source }),
        }
    }

    /// Counts the rows. The totals of a file put together from a damaged one name rows that it does not have.
    fn recount(&self) -> rusqlite::Result<()> {
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let sql = format!(
            "UPDATE queue_head SET pending_rows = found.rows, pending_bytes = found.bytes \
             FROM (SELECT count(*) AS rows, coalesce(sum({BYTES}), 0) AS bytes FROM observation) AS found \
             WHERE (pending_rows, pending_bytes) IS NOT (found.rows, found.bytes)"
        );
        let corrected = transaction.execute(&sql, [])?;
        transaction.commit()?;
        if corrected > 0 {
            tracing::warn!("the totals of the queue differed from its rows: counted anew");
        }
        Ok(())
    }
}

impl Drop for Queue {
    /// Lets the last connection put a grown log into the file and remove it. Without that, the log would grow for ever
    /// under a device that only ever runs `observe`: how much of it is in the file already is kept in shared memory,
    /// which goes with the last connection, and a log counts as used until that says otherwise.
    fn drop(&mut self) {
        let log = self.connection.path().map(|path| format!("{path}-wal"));
        let log_bytes = log
            .and_then(|log| fs::metadata(log).ok())
            .map_or(0, |log| log.len());
        if log_bytes >= u64::from(WAL_CHECKPOINT_PAGES) * PAGE_BYTES {
            // Where this fails the log stays, and the next one to close tries again.
            let _ = self
                .connection
                .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        }
    }
}

/// Makes the directory, and those above it, where they are missing.
fn create_directory(data_dir: &Path) -> Result<(), OpenError> {
    fs::create_dir_all(data_dir).map_err(|source| OpenError::Directory {
        path: data_dir.to_owned(),
        source,
    })
}

/// Syncs the names of the directory and of all above it, so that a power cut does not take directories and rows away
/// together. All of them, by whoever makes the database: another first command may have made them a moment ago and not
/// have come to it. Up to where the file system is mounted: what is above was there before.
fn sync_directory_names(data_dir: &Path) -> io::Result<()> {
    let data_dir = data_dir.canonicalize()?;
    let device = fs::metadata(&data_dir)?.dev();
    for parent in data_dir.ancestors().skip(1) {
        if fs::metadata(parent)?.dev() != device {
            break;
        }
        match File::open(parent) {
            // What this user may not read, this user has not made.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            opened => opened?.sync_all()?,
        }
    }
    Ok(())
}

/// Per-connection settings. `synchronous=FULL`: each commit is synced before it returns; in WAL mode that is one
/// sync. No checkpoint on close unless the log has grown (see [`Drop`]): it would cost each short `observe` several more.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    // Statements of all methods together; rusqlite's default of 16 would re-prepare some on each sync.
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

fn is_current(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(pragma(connection, "user_version")? == SCHEMA_VERSION
        && pragma(connection, "application_id")? == APPLICATION_ID)
}

/// Whether the file is in WAL mode, which is a property of the file.
fn has_log(connection: &Connection) -> rusqlite::Result<bool> {
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    Ok(mode == "wal")
}

fn use_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")
}

fn lock(data_dir: &Path) -> Result<File, OpenError> {
    let path = data_dir.join(LOCK_FILE);
    let file = File::create(&path).and_then(|file| file.lock().map(|()| file));
    file.map_err(|source| OpenError::Directory {
        path: data_dir.to_owned(),
        source,
    })
}

/// Brings the file to [`SCHEMA_VERSION`]. Called with the lock held; another process may have done it just before.
fn migrate(
    connection: &mut Connection,
    path: &Path,
    storage: &impl Fn(rusqlite::Error) -> OpenError,
) -> Result<(), OpenError> {
    let version = pragma(connection, "user_version").map_err(storage)?;
    let application = pragma(connection, "application_id").map_err(storage)?;
    let objects: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(storage)?;
    if application != APPLICATION_ID && (application != 0 || version != 0 || objects != 0) {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
        });
    }
    if version > SCHEMA_VERSION {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found: version,
            known: SCHEMA_VERSION,
        });
    }
    if version == SCHEMA_VERSION {
        return Ok(());
    }
    create(connection).map_err(storage)
}

/// Version 0, an empty file, to version 1, in one transaction.
fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    use_log(connection)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute(
        "INSERT INTO queue_head (id, instance, created_at_ms) VALUES (1, ?1, ?2)",
        params![new_instance().to_string(), clock::now().get()],
    )?;
    transaction.execute("INSERT INTO sync_progress (id) VALUES (1)", [])?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    // Into the file itself: a copy made without the log is then an old copy, which R-10 finds, and not an empty file.
    // Where a reader is in the way, the next checkpoint does it.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// A fresh random instance id.
pub(super) fn new_instance() -> InstanceId {
    InstanceId::from_bytes(uuid::Uuid::new_v4().into_bytes())
}

/// The instance as the file has it.
pub(super) fn read_instance(connection: &Connection) -> rusqlite::Result<InstanceId> {
    connection.query_row("SELECT instance FROM queue_head", [], |row| {
        let text: String = row.get(0)?;
        text.parse()
            .map_err(|error: apollo_wire::NameError| super::row::unreadable(0, error))
    })
}
