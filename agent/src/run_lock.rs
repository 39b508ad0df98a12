//! Telling whether `apollo-agent run` is running on a data directory.
//!
//! It holds a lock for as long as it lives. The kernel frees it when the process dies, however it dies, which no process
//! id in a file would do. So a second `run`, which would stop the children of the first as left-overs, is refused, and
//! `status` and `sync --once` know whether anybody keeps to the plan on disk.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// The file's name inside the data directory. It is never removed: removing a lock file is a race.
const LOCK_FILE: &str = "run.lock";
/// How long to wait for the lock: until an agent that is being replaced has ended its last steps, and longer than anybody
/// looks at it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// How often to look. Locks of this kind have no wait that a runtime could poll.
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// The right to run; given back when dropped.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

/// The lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum RunLockError {
    /// Another `run` has it.
    #[error("another `apollo-agent run` is running on this data directory")]
    Held,
    /// The file cannot be made or locked.
    #[error("cannot lock {LOCK_FILE} in the data directory")]
    File(#[source] io::Error),
}

impl RunLock {
    /// Takes the lock of a data directory, which has to exist.
    ///
    /// # Errors
    /// See [`RunLockError`].
    pub async fn take(data_dir: &Path) -> Result<Self, RunLockError> {
        let file = File::create(data_dir.join(LOCK_FILE)).map_err(RunLockError::File)?;
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(LOCK_RETRY).await,
                Err(TryLockError::WouldBlock) => return Err(RunLockError::Held),
                Err(TryLockError::Error(error)) => return Err(RunLockError::File(error)),
            }
        }
    }
}

/// Whether an agent runs on a data directory. Looking takes the lock for a moment, shared, so that two who look do not
/// see each other.
///
/// # Errors
/// A file that is there and cannot be opened or locked.
pub fn is_running(data_dir: &Path) -> io::Result<bool> {
    let file = match File::open(data_dir.join(LOCK_FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_runs_at_a_time_and_others_can_tell() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_running(dir.path()).unwrap());
        let first = RunLock::take(dir.path()).await.unwrap();
        assert!(is_running(dir.path()).unwrap());
        assert!(matches!(RunLock::take(dir.path()).await, Err(RunLockError::Held)));
        drop(first);
        assert!(!is_running(dir.path()).unwrap());
        RunLock::take(dir.path()).await.unwrap();
    }
}
