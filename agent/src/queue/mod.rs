//! The device's durable queue: one SQLite file, `agent.db`, that holds everything a reboot must not lose.
//!
//! | promise | where |
//! | --- | --- |
//! | Q-01 a row is on disk before its sequence is told to anybody (R-01) | [`append`](Queue::append) |
//! | Q-02 a row leaves only by a verdict naming it, for this instance, after it was offered (R-02) | [`settle`](Queue::settle) |
//! | Q-03 a refused row moves to the dead letters in the transaction that settles it (R-08) | [`settle`](Queue::settle) |
//! | Q-04 the queue never exceeds its limits; the oldest rows make room (R-12) | `overflow` |
//! | Q-05 every row lost becomes part of a gap record in the transaction that loses it (R-09) | `gaps` |
//! | Q-06 a sequence is never handed out twice, and a new instance continues above the old one (R-10) | [`renew_instance`](Queue::renew_instance) |
//! | Q-07 several processes may use the file at once; readers never block the writer | `open` |
//! | Q-08 a damaged, foreign or newer file is refused, never reset | `open` |
//! | Q-09 a row that cannot be read back becomes a gap and blocks nobody | [`next_batch`](Queue::next_batch) |
//! | Q-10 ETag and desired document change together | [`store_desired`](Queue::store_desired) |
//!
//! `docs/storage.md` explains each, with the layout and the reasons. Tests cite the ids.
//!
//! A [`Queue`] is one connection. It is `Send` but not `Sync`: one owner, or one per process; SQLite's own locks order
//! them. Every writing method is one transaction that is synced to disk before it returns.

mod append;
mod batch;
mod desired;
mod error;
mod export;
mod gaps;
mod inspect;
mod limits;
mod open;
mod overflow;
mod purge;
mod renew;
mod requeue;
mod row;
mod settle;
mod supervised;
mod sync_progress;

pub use batch::Batch;
pub use desired::StoredDesired;
pub use error::{AppendError, OpenError, StorageError};
pub use export::{ExportError, ExportFormat};
pub use inspect::{DeadLetter, GapRecord, PendingRow, Stats};
pub use limits::QueueLimits;
pub use row::NewObservation;
pub use settle::{SettleError, Settled};
pub use supervised::SupervisedProcess;
pub use sync_progress::SyncStatus;

use apollo_wire::{InstanceId, Sequence};
use rusqlite::Connection;

/// The file's name inside the data directory.
pub const DATABASE_FILE: &str = "agent.db";

/// An open queue database. See the module's documentation.
#[derive(Debug)]
pub struct Queue {
    connection: Connection,
    limits: QueueLimits,
    instance: InstanceId,
    boot_id: String,
}

impl Queue {
    /// The instance as of opening or of the last [`next_batch`](Self::next_batch) or
    /// [`renew_instance`](Self::renew_instance) of this connection. Another process may have renewed it since;
    /// [`settle`](Self::settle) compares with the file, not with this.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// The limits it was opened with.
    pub fn limits(&self) -> QueueLimits {
        self.limits
    }

    /// The highest sequence ever handed out; 0 if none. What R-10 compares with a reply's `highestSequence`.
    pub fn high_water(&self) -> Result<Sequence, StorageError> {
        append::high_water(&self.connection)
            .map_err(|source| StorageError::new("read the high water mark", source))
    }

    /// The sequence the next observation will get.
    pub fn next_sequence(&self) -> Result<Sequence, StorageError> {
        Ok(self.high_water()?.saturating_add(1))
    }

    /// Changes whenever another connection has written the file, so that a running agent notices the rows of an
    /// `observe`. A cheap read of shared memory, fit for polling.
    pub fn data_version(&self) -> Result<i64, StorageError> {
        self.connection
            .pragma_query_value(None, "data_version", |row| row.get(0))
            .map_err(|source| StorageError::new("read the data version", source))
    }
}
