//! The queue on a thread of its own.
//!
//! Every write to the queue waits for the disk. On the runtime's one thread that would hold up QUIC's timers: a flash
//! card that erases a block for a second would look like a lost packet. A thread and a bounded channel keep the order
//! of operations, which a pool of threads would not.

use std::{io, thread};

use tokio::sync::{mpsc, oneshot};

use crate::queue::Queue;

/// Operations waiting. The driver and one exchange use the queue, each one operation at a time.
const WAITING_OPERATIONS: usize = 4;

type Operation = Box<dyn FnOnce(&mut Queue) + Send>;

/// A handle to the thread. The thread ends, and closes the database, when the last handle is gone.
#[derive(Debug, Clone)]
pub struct QueueThread {
    operations: mpsc::Sender<Operation>,
}

/// The thread is gone: an operation panicked. Nothing can be stored any more.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the queue's thread has ended")]
pub struct QueueThreadGone;

impl QueueThread {
    /// Moves the queue to a new thread.
    ///
    /// # Errors
    /// The system's, if it has no thread to give.
    pub fn start(mut queue: Queue) -> io::Result<Self> {
        let (operations, mut received) = mpsc::channel::<Operation>(WAITING_OPERATIONS);
        thread::Builder::new().name("queue".to_owned()).spawn(move || {
            while let Some(operation) = received.blocking_recv() {
                operation(&mut queue);
            }
        })?;
        Ok(Self { operations })
    }

    /// Does `operation` on the thread, after those asked for before, and returns its result. An operation that was
    /// asked for is done even if nobody waits for its result any more.
    ///
    /// # Errors
    /// [`QueueThreadGone`].
    pub async fn call<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Queue) -> T + Send + 'static,
    ) -> Result<T, QueueThreadGone> {
        let (result, done) = oneshot::channel();
        let operation: Operation = Box::new(move |queue| {
            // Nobody waits any more: the operation is done all the same.
            let _ = result.send(operation(queue));
        });
        self.operations
            .send(operation)
            .await
            .map_err(|_| QueueThreadGone)?;
        done.await.map_err(|_| QueueThreadGone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::QueueLimits;

    fn thread() -> (QueueThread, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path(), QueueLimits::default()).unwrap();
        (QueueThread::start(queue).unwrap(), dir)
    }

    #[tokio::test]
    async fn operations_are_done_in_order() {
        let (thread, _dir) = thread();
        let (sender, mut results) = mpsc::channel(8);
        for number in 0..8 {
            let sender = sender.clone();
            thread
                .call(move |_| sender.try_send(number).unwrap())
                .await
                .unwrap();
        }
        for number in 0..8 {
            assert_eq!(results.recv().await, Some(number));
        }
    }

    #[tokio::test]
    async fn an_operation_that_panics_ends_the_thread_and_is_told() {
        let (thread, _dir) = thread();
        assert!(thread.call(|_| panic!("as the test wants")).await.is_err());
        assert!(thread.call(|_| ()).await.is_err());
    }
}
