//! The change feed: every object in the order of resourceVersion, then what changes, whoever changes it.
//!
//! One thread per watch reads `objects` by the index on resource_version. A commit of this process wakes it at once;
//! commits of other processes it finds by asking SQLite's data_version, which costs no IO.

use std::{
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::{
    error::StoreError,
    open::{self, Missing},
    readers::consistent,
    record::{COLUMNS, ObjectRecord, RESOURCE_VERSION},
    writer::Listeners,
};
use crate::{manifest::Kind, store::Change};

/// How soon a change by another process is seen: below what a person notices after `apply`, and 20 looks a second at a
/// number in shared memory are nothing.
const POLL: Duration = Duration::from_millis(50);
/// Changes read at once: bounds memory, and how long one read transaction holds back a checkpoint.
const PAGE: i64 = 256;
/// Changes waiting for the reader.
const CHANNEL: usize = 256;

/// Starts a watch. The receiver ends when the store is dropped, or when the feed cannot be whole any more.
pub(super) fn start(path: &Path, listeners: &Listeners) -> mpsc::Receiver<Change> {
    let (changes, receiver) = mpsc::channel(CHANNEL);
    let (listener, wake) = std::sync::mpsc::sync_channel(1);
    if let Ok(mut listeners) = listeners.lock() {
        listeners.push(listener);
    }
    let path = path.to_owned();
    let started = std::thread::Builder::new()
        .name("store-watch".to_owned())
        .spawn(move || match open::open(&path, Missing::Refuse) {
            Ok(connection) => follow(&connection, &wake, &changes),
            Err(error) => tracing::error!(%error, "the watch on the store cannot begin"),
        });
    if let Err(error) = started {
        tracing::error!(%error, "no thread for the watch on the store");
    }
    receiver
}

/// Tells of changes until nobody listens or the store is closed.
fn follow(connection: &Connection, wake: &Receiver<()>, changes: &mpsc::Sender<Change>) {
    let mut feed = Feed {
        told: 0,
        synced: false,
        failing: false,
    };
    let mut seen = None;
    while !changes.is_closed() {
        let version = data_version(connection);
        if version.is_none() || version != seen {
            match feed.tell(connection, changes) {
                Ok(true) => seen = version,
                Ok(false) => return,
                Err(error) => feed.failed(&error),
            }
        }
        match wake.recv_timeout(POLL) {
            Ok(()) => seen = None,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Changes whenever another connection commits.
fn data_version(connection: &Connection) -> Option<i64> {
    connection
        .prepare_cached("PRAGMA data_version")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .ok()
}

/// How far a watch has come.
struct Feed {
    told: i64,
    synced: bool,
    failing: bool,
}

/// One page: changes with their versions.
struct Page {
    changes: Vec<(i64, Option<Change>)>,
    compacted: i64,
}

impl Feed {
    /// Tells everything newer than what was told. False if the watch is over.
    fn tell(&mut self, connection: &Connection, out: &mpsc::Sender<Change>) -> Result<bool, StoreError> {
        loop {
            let page = consistent(connection, |connection| page(connection, self.told))?;
            if self.synced && page.compacted > self.told {
                tracing::error!(
                    "a watch on the store fell behind by more than the store remembers, and ends"
                );
                return Ok(false);
            }
            let full = page.changes.len() == usize::try_from(PAGE).unwrap_or(usize::MAX);
            for (version, change) in page.changes {
                // Deletions before the first Synced are of objects nobody was told of.
                let old_deletion = !self.synced
                    && matches!(change, Some(Change::ProcessDeleted(_) | Change::DeviceDeleted(_)));
                if let Some(change) = change.filter(|_| !old_deletion)
                    && out.blocking_send(change).is_err()
                {
                    return Ok(false);
                }
                self.told = version;
            }
            if full {
                continue;
            }
            if !self.synced {
                self.synced = true;
                self.told = self.told.max(page.compacted);
                if out.blocking_send(Change::Synced).is_err() {
                    return Ok(false);
                }
            }
            if std::mem::take(&mut self.failing) {
                tracing::info!("the watch on the store works again");
            }
            return Ok(true);
        }
    }

    fn failed(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(%error, "the watch on the store fails; changes are told when it works again");
        }
    }
}

/// The query for one page.
pub(super) fn sql_page() -> String {
    format!(
        "SELECT {COLUMNS}, deleted_at_ms IS NOT NULL FROM objects WHERE resource_version > ?1 \
         ORDER BY resource_version LIMIT ?2"
    )
}

fn page(connection: &Connection, told: i64) -> Result<Page, StoreError> {
    let compacted = connection
        .prepare_cached("SELECT compacted FROM revision WHERE only = 1")?
        .query_row([], |row| row.get(0))?;
    let mut statement = connection.prepare_cached(&sql_page())?;
    let mut rows = statement.query([told, PAGE])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        let version = row.get(RESOURCE_VERSION)?;
        let read = ObjectRecord::read(row).and_then(|record| change(&record, row.get(11)?));
        let change = read.map_err(|error| {
            // One damaged object must not hide the others.
            tracing::error!(%error, "an object is left out of the watch");
        });
        changes.push((version, change.ok()));
    }
    Ok(Page { changes, compacted })
}

fn change(record: &ObjectRecord, deleted: bool) -> Result<Change, StoreError> {
    Ok(match (record.key.kind, deleted) {
        (Kind::DeviceProcess, true) => Change::ProcessDeleted(record.process_ref()?),
        (Kind::DeviceProcess, false) => Change::Process(Box::new(record.process()?)),
        (Kind::Device, true) => Change::DeviceDeleted(record.device_name()?),
        (Kind::Device, false) => Change::Device(Box::new(record.device()?)),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::EmbeddedStore;
    use super::*;

    /// How long the test waits for threads to end; only one that fails takes so long.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn r12_a_watch_that_ended_leaves_no_listener_behind() {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&directory.path().join("gateway.db"), Missing::Create).unwrap();
        let watches: Vec<_> = (0..3)
            .map(|_| start(store.path(), &store.inner.listeners))
            .collect();
        let listeners = || store.inner.listeners.lock().unwrap().len();
        store.apply(vec![]).await.unwrap();
        assert_eq!(listeners(), 3, "those that go on keep theirs");
        drop(watches);
        let began = Instant::now();
        while listeners() > 0 {
            assert!(began.elapsed() < PATIENCE, "{} are left", listeners());
            store.apply(vec![]).await.unwrap();
        }
    }
}
