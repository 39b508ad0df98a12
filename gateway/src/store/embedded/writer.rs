//! One thread writes for the whole process. Steps that wait together are committed together: one sync of the disk for
//! all of them (group commit), which is what limits a gateway with many devices.
//!
//! Within the file the writers of several processes take turns by `BEGIN IMMEDIATE`.

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
};

/// Steps that may wait for the writer. Each holds one report at most, so this bounds memory; more than a disk settles in
/// a second is better answered "try again later".
pub(super) const WAITING: usize = 256;
/// Steps in one transaction. Beyond this the one sync is cheap beside the steps, and the first would wait for the last.
const GROUP: usize = 64;

/// One step, with the way back to whoever asked.
trait Job: Send {
    fn run(&mut self, connection: &Connection) -> Result<(), StoreError>;
    /// `committed` says whether what `run` did is on the disk.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Step<T, F> {
    work: Option<F>,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Step<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, connection: &Connection) -> Result<(), StoreError> {
        if let Some(work) = self.work.take() {
            self.done = Some(work(connection)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { done, reply, .. } = *self;
        // Nobody waits any more: the step stands all the same, every step may be repeated.
        let _gone = reply.send(committed.and_then(|()| done.ok_or(StoreError::Closed)));
    }
}

/// Who wants to know of commits of this process at once: the watches, one slot each, full means already told.
pub(super) type Listeners = Arc<Mutex<Vec<SyncSender<()>>>>;

/// The way to the writing thread.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: SyncSender<Box<dyn Job>>,
}

impl Writer {
    /// Starts the thread on its connection. It ends when every `Writer` is dropped.
    pub(super) fn start(
        connection: Connection,
        path: &Path,
        health: Arc<Health>,
        listeners: Listeners,
    ) -> Result<(Self, JoinHandle<()>), OpenError> {
        let (jobs, queue) = std::sync::mpsc::sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || work(&connection, &queue, &health, &listeners))
            .map_err(|source| OpenError::Thread {
                path: path.to_owned(),
                source,
            })?;
        Ok((Self { jobs }, thread))
    }

    /// Runs `work` in a transaction and comes back when it is on the disk. A step that fails changes nothing.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let step = Step {
            work: Some(work),
            done: None,
            reply,
        };
        self.jobs.try_send(Box::new(step)).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Overloaded,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

fn work(connection: &Connection, queue: &Receiver<Box<dyn Job>>, health: &Health, listeners: &Listeners) {
    while let Ok(first) = queue.recv() {
        let group: Vec<_> = std::iter::once(first)
            .chain(queue.try_iter().take(GROUP - 1))
            .collect();
        commit(connection, group, health);
        if let Ok(mut listeners) = listeners.lock() {
            // Full is told already; without a receiver the watch has ended.
            listeners
                .retain(|listener| !matches!(listener.try_send(()), Err(TrySendError::Disconnected(()))));
        }
    }
}

/// Runs a group of steps in one transaction and answers all of them.
fn commit(connection: &Connection, mut group: Vec<Box<dyn Job>>, health: &Health) {
    let outcome = transaction(connection, &mut group);
    match outcome {
        Ok(failures) => {
            match failures
                .iter()
                .flatten()
                .find(|failure| matches!(failure, StoreError::Sqlite(_)))
            {
                Some(failure) => health.failing(failure),
                None => health.working(),
            }
            for (job, failure) in group.into_iter().zip(failures) {
                job.answer(failure.map_or(Ok(()), Err));
            }
        }
        Err(error) => {
            if !connection.is_autocommit() {
                // What could not be committed must not be seen by the next group. If even this fails, so does its BEGIN.
                let _next_begin_fails = connection.execute_batch("ROLLBACK");
            }
            health.failing(&error);
            let error = Arc::new(error);
            for job in group {
                job.answer(Err(StoreError::Commit(Arc::clone(&error))));
            }
        }
    }
}

/// The transaction: what went wrong in each step, or that nothing of it stands.
fn transaction(
    connection: &Connection,
    group: &mut [Box<dyn Job>],
) -> Result<Vec<Option<StoreError>>, rusqlite::Error> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let mut failures = Vec::with_capacity(group.len());
    for job in group {
        connection.execute_batch("SAVEPOINT step")?;
        let failure = job.run(connection).err();
        if failure.is_some() {
            // Fails if SQLite has rolled back everything by itself (disk full): then nothing of the group stands.
            connection.execute_batch("ROLLBACK TO step")?;
        }
        connection.execute_batch("RELEASE step")?;
        failures.push(failure);
    }
    connection.execute_batch("COMMIT")?;
    Ok(failures)
}
