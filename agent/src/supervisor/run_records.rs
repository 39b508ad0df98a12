//! What is kept on disk of every live child, so that an agent that was killed finds its children again.

use apollo_wire::ProcessRef;

use crate::queue::{Queue, SupervisedProcess};

/// Why the records could not be read or written.
pub type RunRecordError = Box<dyn std::error::Error + Send + Sync>;

/// Where records are kept: the agent's database, or memory in tests. Calls may block for one small write.
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
