//! Observations of the supervisor on their way to the disk.

use std::time::Duration;

use apollo_agent_core::engine::Event;
use apollo_wire::{QueueDepth, limits::DESIRED_PROCESSES};
use tokio::{sync::mpsc, time::Instant};

use super::{Driver, DriverError};
use crate::{
    exit::chain,
    queue::{AppendError, NewObservation, StorageError},
};

/// Most observations stored in one transaction: those of a device that starts all its processes at once share one sync.
const STORED_AT_ONCE: usize = 64;
/// How long to wait before storing again what a full or locked disk refused. The supervisor waits meanwhile: its
/// channel is bounded.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Most observations kept in memory while the agent is stopping and the disk refuses them: two of each process a document
/// may name, the one under way and that of its end. A few megabytes at worst.
const KEPT_WHILE_STOPPING: usize = 2 * DESIRED_PROCESSES;

/// The receiving end, and what could not be stored yet.
pub(super) struct Intake {
    observations: Option<mpsc::Receiver<NewObservation>>,
    unsaved: Vec<NewObservation>,
    retry_at: Option<Instant>,
}

impl Intake {
    pub(super) fn new(observations: mpsc::Receiver<NewObservation>) -> Self {
        Self {
            observations: Some(observations),
            unsaved: vec![],
            retry_at: None,
        }
    }

    /// An intake without a supervisor.
    pub(super) fn closed() -> Self {
        Self {
            observations: None,
            unsaved: vec![],
            retry_at: None,
        }
    }

    /// Whether to receive more. While the disk refuses, the supervisor waits, unless it is to end: then it must not, and
    /// what it says is kept in memory until the disk takes it.
    pub(super) fn takes_in(&self, stopping: bool) -> bool {
        let refused = self.retry_at.is_some();
        let has_room = self.unsaved.len() < KEPT_WHILE_STOPPING;
        self.observations.is_some() && (!refused || stopping && has_room)
    }

    /// Keeps observations behind those the disk refused.
    pub(super) fn keep(&mut self, observations: Vec<NewObservation>) {
        self.unsaved.extend(observations);
    }

    /// Receives no more; whoever sends learns it. What is in the channel is still kept.
    pub(super) fn close(&mut self) {
        let Some(mut observations) = self.observations.take() else {
            return;
        };
        observations.close();
        while let Ok(observation) = observations.try_recv() {
            self.unsaved.push(observation);
        }
    }

    /// When to store again what was refused; `None` if nothing was.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    pub(super) fn take_unsaved(&mut self) -> Vec<NewObservation> {
        self.retry_at = None;
        std::mem::take(&mut self.unsaved)
    }

    /// The next observations; `None` once, when the supervisor has ended. Cancel-safe, as `recv_many` is.
    pub(super) async fn receive(&mut self) -> Option<Vec<NewObservation>> {
        let observations = self.observations.as_mut()?;
        let mut received = Vec::new();
        if observations.recv_many(&mut received, STORED_AT_ONCE).await == 0 {
            self.observations = None;
            return None;
        }
        Some(received)
    }
}

impl Driver {
    /// Stores observations; keeps them for another try if the disk refuses. One that breaks a bound of the contract
    /// can never be stored: it is left out, and said so.
    pub(super) async fn store(&mut self, mut observations: Vec<NewObservation>) -> Result<(), DriverError> {
        while !observations.is_empty() {
            let (given, stored, depth) = self
                .queue
                .call(move |queue| {
                    let stored = queue.append(&observations);
                    (observations, stored, queue.depth())
                })
                .await?;
            match (given, stored) {
                // Stored is stored, whether or not the depth could be read.
                (stored, Ok(_)) => {
                    let known = self.engine.pending().saturating_add(stored.len() as u64);
                    let depth = self.depth_or(depth, known);
                    self.note_depth(depth);
                    return Ok(());
                }
                (mut refused, Err(AppendError::Defect { index, source })) => {
                    tracing::error!(%source, "an observation of the supervisor cannot be stored and is left out");
                    if index < refused.len() {
                        refused.remove(index);
                    }
                    observations = refused;
                }
                (refused, Err(error)) => {
                    tracing::error!(
                        error = chain(&error),
                        "observations cannot be stored; trying again"
                    );
                    self.intake.unsaved = refused;
                    self.intake.retry_at = Some(Instant::now() + RETRY_INTERVAL);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Looks whether another process has changed the queue.
    pub(super) async fn look_for_rows(&mut self) -> Result<(), DriverError> {
        let known = self.data_version;
        let looked = self
            .queue
            .call(move |queue| {
                let version = queue.data_version()?;
                let depth = if version == known {
                    None
                } else {
                    Some(queue.depth()?)
                };
                Ok::<_, StorageError>((version, depth))
            })
            .await?;
        match looked {
            Ok((version, depth)) => {
                self.data_version = version;
                if let Some(depth) = depth {
                    self.note_depth(depth);
                }
            }
            Err(error) => tracing::warn!(error = chain(&error), "cannot look at the queue"),
        }
        Ok(())
    }

    /// Tells the engine and the metrics how full the queue is.
    pub(super) fn note_depth(&mut self, depth: QueueDepth) {
        let QueueDepth { pending, dropped } = depth;
        self.metrics.queue(pending, dropped.saturating_sub(self.dropped));
        self.dropped = dropped;
        self.summary.pending = pending;
        if pending != self.engine.pending() {
            self.tell(Event::Queued { pending });
        }
    }

    /// The depth read after a transaction that has committed. Where it cannot be read, what is known without: the
    /// transaction is not undone by that, and must not be made again.
    pub(super) fn depth_or(&self, read: Result<QueueDepth, StorageError>, pending: u64) -> QueueDepth {
        read.unwrap_or_else(|error| {
            tracing::warn!(error = chain(&error), "cannot look at the queue");
            QueueDepth {
                pending,
                dropped: self.dropped,
            }
        })
    }
}
