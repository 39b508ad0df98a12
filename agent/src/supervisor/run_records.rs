//! What is kept on disk of every live child, so that an agent that was killed finds its children again.

use std::sync::{Arc, Mutex, PoisonError};

use apollo_wire::ProcessRef;
use tokio::task::spawn_blocking;

use crate::queue::{Queue, SupervisedProcess};

/// Why the records could not be read or written.
pub type RunRecordError = Box<dyn std::error::Error + Send + Sync>;

/// Where records are kept: the agent's database, or memory in tests. Calls may block for one small write: they are made
/// on threads that may wait.
pub trait RunRecords: Send {
    /// Stores a record, replacing the one of the same process.
    ///
    /// # Errors
    /// The storage's.
    fn put_run(&mut self, record: &SupervisedProcess) -> Result<(), RunRecordError>;

    /// Every record. At most one per process, so as many as `limits::DESIRED_PROCESSES`.
    ///
    /// # Errors
    /// The storage's.
    fn list_runs(&mut self) -> Result<Vec<SupervisedProcess>, RunRecordError>;

    /// Removes the record of a process, if there is one.
    ///
    /// # Errors
    /// The storage's.
    fn delete_run(&mut self, process: &ProcessRef) -> Result<(), RunRecordError>;
}

/// The records as the supervisor's task uses them: it waits for the disk, and the runtime's one thread does not, for QUIC's
/// timers are kept on it. A call that nobody waits for any more is made all the same.
pub(super) struct Records {
    kept: Arc<Mutex<Box<dyn RunRecords>>>,
}

impl Records {
    pub(super) fn new(records: Box<dyn RunRecords>) -> Self {
        Self {
            kept: Arc::new(Mutex::new(records)),
        }
    }

    pub(super) async fn list(&self) -> Result<Vec<SupervisedProcess>, RunRecordError> {
        self.call(|records| records.list_runs()).await
    }

    pub(super) async fn put(&self, record: SupervisedProcess) -> Result<(), RunRecordError> {
        self.call(move |records| records.put_run(&record)).await
    }

    pub(super) async fn delete(&self, process: ProcessRef) -> Result<(), RunRecordError> {
        self.call(move |records| records.delete_run(&process)).await
    }

    /// The task makes one call at a time and waits for it, which keeps them in order.
    async fn call<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut dyn RunRecords) -> Result<T, RunRecordError> + Send + 'static,
    ) -> Result<T, RunRecordError> {
        let kept = Arc::clone(&self.kept);
        let done = spawn_blocking(move || {
            // A call that panicked has left the records as a crash would have.
            let mut records = kept.lock().unwrap_or_else(PoisonError::into_inner);
            operation(&mut **records)
        });
        done.await?
    }
}

/// The supervisor has a connection of its own to the database, so it never waits for an exchange with the gateway.
impl RunRecords for Queue {
    fn put_run(&mut self, record: &SupervisedProcess) -> Result<(), RunRecordError> {
        Ok(self.put_supervised(record)?)
    }

    fn list_runs(&mut self) -> Result<Vec<SupervisedProcess>, RunRecordError> {
        Ok(self.list_supervised()?)
    }

    fn delete_run(&mut self, process: &ProcessRef) -> Result<(), RunRecordError> {
        Ok(self.delete_supervised(process)?)
    }
}
