//! One exchange at a time per queue, across processes.
//!
//! `run` and `sync --once` may meet on one queue. If both had a report on its way, the gateway could see the one with
//! the lower `offeredThrough` last, and would take the device for an old copy of itself. So whoever exchanges
//! holds a lock from taking the batch to settling it. The kernel frees it when the process dies.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// The file's name inside the data directory. It is never removed: removing a lock file is a race.
const LOCK_FILE: &str = "sync.lock";
/// How long to wait for another process's exchange. A warm one takes a second or two on most links.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// How often to look. Locks of this kind have no wait that a runtime could poll.
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// The right to exchange; given back when dropped.
#[derive(Debug)]
pub(super) struct SyncLock {
    _file: File,
}

/// The lock could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyncLockError {
    /// Another process has it.
    #[error("another process is syncing this queue right now")]
    Busy,
    /// The file cannot be made or locked.
    #[error("cannot lock {LOCK_FILE} in the data directory")]
    File(#[source] io::Error),
}

impl SyncLock {
    /// Takes the lock, waiting for another process at most `within`.
    pub(super) async fn take(data_dir: &Path, within: Duration) -> Result<Self, SyncLockError> {
        let file = File::create(data_dir.join(LOCK_FILE)).map_err(SyncLockError::File)?;
        let deadline = Instant::now() + within;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(LOCK_RETRY).await,
                Err(TryLockError::WouldBlock) => return Err(SyncLockError::Busy),
                Err(TryLockError::Error(error)) => return Err(SyncLockError::File(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_and_then_gives_up() {
        let dir = tempfile::tempdir().unwrap();
        let first = SyncLock::take(dir.path(), LOCK_RETRY * 2).await.unwrap();
        assert!(matches!(
            SyncLock::take(dir.path(), LOCK_RETRY * 2).await,
            Err(SyncLockError::Busy)
        ));
        drop(first);
        SyncLock::take(dir.path(), LOCK_RETRY * 2).await.unwrap();
    }
}
