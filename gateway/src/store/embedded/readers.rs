//! A few threads read, each with its own connection: reads go on while the writer syncs (WAL).

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, TrySendError},
    },
    thread::JoinHandle,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    error::{OpenError, StoreError},
    health::Health,
    open::{self, Missing},
};

/// Reading threads: reads are short look-ups from the page cache, so few threads keep many devices served.
const THREADS: usize = 4;
/// Reads that may wait: a fraction of a second of work.
pub(super) const WAITING: usize = 1024;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The way to the reading threads.
#[derive(Clone)]
pub(super) struct Readers {
    reads: SyncSender<Read>,
    health: Arc<Health>,
}

impl Readers {
    /// Opens the connections and starts the threads. They end when every `Readers` is dropped.
    pub(super) fn start(path: &Path, health: Arc<Health>) -> Result<(Self, Vec<JoinHandle<()>>), OpenError> {
        let (reads, queue) = std::sync::mpsc::sync_channel::<Read>(WAITING);
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::with_capacity(THREADS);
        for number in 1..=THREADS {
            let connection = open::open(path, Missing::Refuse)?;
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new()
                .name(format!("store-reader-{number}"))
                .spawn(move || {
                    while let Some(read) = next(&queue) {
                        read(&connection);
                    }
                })
                .map_err(|source| OpenError::Thread {
                    path: path.to_owned(),
                    source,
                })?;
            threads.push(thread);
        }
        Ok((Self { reads, health }, threads))
    }

    /// Runs `work` on one consistent view of the file.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let health = Arc::clone(&self.health);
        let read = move |connection: &Connection| {
            let result = consistent(connection, work);
            match &result {
                Err(error @ StoreError::Sqlite(_)) => health.failing(error),
                // One object that cannot be understood says nothing about the others.
                Ok(_) | Err(_) => health.working(),
            }
            // Nobody waits any more.
            let _gone = reply.send(result);
        };
        self.reads.try_send(Box::new(read)).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Overloaded,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

fn next(queue: &Mutex<Receiver<Read>>) -> Option<Read> {
    queue.lock().ok()?.recv().ok()
}

/// One read transaction around several statements.
pub(super) fn consistent<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = connection.unchecked_transaction()?;
    let result = work(&transaction)?;
    transaction.commit()?;
    Ok(result)
}
