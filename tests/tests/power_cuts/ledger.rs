//! What the agent has confirmed, and whether it is still there.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::Result;
use apollo_power::Disk;
use rusqlite::{Connection, OpenFlags, params_from_iter};

/// Something confirmed is gone, or came twice: what these tests look for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Loss(pub(crate) String);

/// An error of the kind [`Loss`] unless the condition holds.
macro_rules! promised {
    ($holds:expr, $($text:tt)*) => {
        if !$holds {
            return Err($crate::ledger::Loss(format!($($text)*)).into());
        }
    };
}
pub(crate) use promised;

/// Observations whose sequences were printed, by sequence; each has a message that no other has.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    confirmed: Mutex<BTreeMap<u64, String>>,
}

impl Ledger {
    /// Enters a confirmation: no sequence is ever told twice.
    pub(crate) fn confirm(&self, sequence: u64, message: &str) -> Result<()> {
        let mut confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = confirmed.insert(sequence, message.to_owned());
        promised!(
            before.is_none(),
            "sequence {sequence} was told twice: {before:?}, {message:?}"
        );
        Ok(())
    }

    /// Everything confirmed so far.
    pub(crate) fn confirmed(&self) -> BTreeMap<u64, String> {
        self.confirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A database as its views show it.
pub(crate) fn read_only(database: &Path) -> Result<Connection> {
    Ok(Connection::open_with_flags(
        database,
        OpenFlags::SQLITE_OPEN_READ_ONLY,
    )?)
}

/// The database in `file` of a disk that nobody has mounted, as a copy in `to`. A copy, because SQLite maps a file of a
/// database that it opens: a process that maps a file which it serves itself hangs for ever if it is killed then.
pub(crate) fn copied(disk: &Disk, file: &Path, to: &Path) -> Result<Connection> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    disk.copy_to(to)?;
    Ok(Connection::open_with_flags(
        to.join(file),
        OpenFlags::SQLITE_OPEN_READ_WRITE,
    )?)
}

/// `PRAGMA integrity_check` finds nothing.
pub(crate) fn is_sound(database: &Connection) -> Result<()> {
    let found: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    promised!(found == "ok", "damaged: {found}");
    Ok(())
}

/// Sequences and messages that a query gives; `device` is its parameter, if it has one.
pub(crate) fn messages(
    database: &Connection,
    select: &str,
    device: Option<&str>,
) -> Result<Vec<(u64, String)>> {
    let mut statement = database.prepare(select)?;
    let rows = statement.query_map(params_from_iter(device), |row| {
        Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Ranges of sequences that a query gives; `device` is its parameter, if it has one.
pub(crate) fn ranges(
    database: &Connection,
    select: &str,
    device: Option<&str>,
) -> Result<BTreeSet<(u64, u64)>> {
    let mut statement = database.prepare(select)?;
    let rows = statement.query_map(params_from_iter(device), |row| {
        let (first, last): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok((first.unsigned_abs(), last.unsigned_abs()))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
