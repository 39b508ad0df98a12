//! One exchange, from the queue to the gateway and back.

use std::{
    ops::RangeInclusive,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use apollo_agent_core::engine::{self, DesiredOutcome, Exchanged, Failure, FailureKind, StartExchange};
use apollo_wire::{Gap, InstanceId, Report, Sequence, Verdicts, binary};

use super::{
    queue_thread::{QueueThread, QueueThreadGone},
    sync_lock::{LOCK_TIMEOUT, SyncLock, SyncLockError},
};
use crate::{
    client::{Client, ExchangeReply, ExchangeRequest, Poll},
    clock,
    exit::chain,
    queue::{Batch, Queue, StorageError},
};

/// What an exchange needs.
pub(super) struct Exchange {
    pub(super) start: StartExchange,
    pub(super) queue: QueueThread,
    pub(super) data_dir: PathBuf,
    /// ETag of the document in force.
    pub(super) etag: Option<String>,
}

/// What an exchange leaves.
pub(super) struct Finished {
    pub(super) exchanged: Exchanged,
    /// What the report was made of; verdicts are settled against it. Holds the lock until then.
    pub(super) taken: Option<Taken>,
}

/// The part of a batch that settling needs.
pub(super) struct Taken {
    pub(super) instance: InstanceId,
    pub(super) gaps: Vec<Gap>,
    /// The rows in it, ascending. They may have left the queue since: the overflow and `queue purge` take no lock.
    pub(super) sequences: Vec<Sequence>,
    _lock: SyncLock,
}

impl Taken {
    /// From the first to the last row; `None` without rows.
    pub(super) fn range(&self) -> Option<RangeInclusive<Sequence>> {
        Some(*self.sequences.first()?..=*self.sequences.last()?)
    }

    /// How many of its rows the verdicts name, whether they are still in the queue or not.
    pub(super) fn named_in(&self, verdicts: &Verdicts) -> u64 {
        named(&self.sequences, verdicts)
    }
}

/// Both lists are bounded by what one report may carry.
fn named(sequences: &[Sequence], verdicts: &Verdicts) -> u64 {
    let is_named = |sequence: Sequence| {
        verdicts.acked.iter().any(|range| range.contains(sequence))
            || verdicts
                .rejected
                .iter()
                .any(|rejection| rejection.seq == sequence)
    };
    sequences.iter().filter(|sequence| is_named(**sequence)).count() as u64
}

/// Why nothing could be sent.
#[derive(Debug, thiserror::Error)]
enum TakeError {
    #[error(transparent)]
    Lock(#[from] SyncLockError),
    #[error(transparent)]
    Thread(#[from] QueueThreadGone),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Exchange {
    /// Takes a batch, notes on disk what is about to be offered, sends it, and waits for the answer.
    pub(super) async fn run(self, client: &mut Client) -> Finished {
        let id = self.start.id;
        match self.take().await {
            Ok((taken, batch, mut facts)) => {
                let offered = Offered::new(&batch);
                let request = self.request(batch, offered.clone());
                let ExchangeReply { report, desired } = client.exchange(&request).await;
                facts.offered_through = offered.said();
                Finished {
                    exchanged: Exchanged {
                        id,
                        batch: Some(facts),
                        report,
                        desired,
                    },
                    taken: Some(taken),
                }
            }
            Err(error) => {
                let kind = match error {
                    TakeError::Lock(SyncLockError::Busy) => FailureKind::Busy,
                    _ => FailureKind::Storage,
                };
                let (report, desired) = (Err(Failure::new(kind, chain(&error))), DesiredOutcome::NotAsked);
                Finished {
                    exchanged: Exchanged {
                        id,
                        batch: None,
                        report,
                        desired,
                    },
                    taken: None,
                }
            }
        }
    }

    async fn take(&self) -> Result<(Taken, Batch, engine::Batch), TakeError> {
        let lock = SyncLock::take(&self.data_dir, LOCK_TIMEOUT).await?;
        let start = self.start;
        let (batch, facts) = self.queue.call(move |queue| take(queue, start)).await??;
        let taken = Taken {
            instance: batch.instance,
            gaps: batch.gaps.clone(),
            sequences: batch
                .observations
                .iter()
                .map(|observation| observation.seq)
                .collect(),
            _lock: lock,
        };
        Ok((taken, batch, facts))
    }

    fn request(&self, batch: Batch, offered: Offered) -> ExchangeRequest {
        let report = Report {
            next_contact_seconds: self.start.next_contact_seconds,
            queue: Some(batch.queue),
            agent_version: self.start.introduce.then(|| env!("CARGO_PKG_VERSION").to_owned()),
            gaps: batch.gaps,
            observations: batch.observations,
            ..Report::empty(batch.instance, clock::now())
        };
        ExchangeRequest {
            // Encoded when it is about to be sent: the gateway learns the clock's skew from the time in it, and a
            // handshake in between can take seconds.
            report: Box::new(move || {
                binary::encode_report(&Report {
                    sent_at: clock::now(),
                    offered_through: Some(offered.say()),
                    ..report.clone()
                })
                .into()
            }),
            poll: self.start.poll.then(|| Poll {
                etag: self.etag.clone(),
            }),
        }
    }
}

/// What a report says was offered before it. Within one exchange it may have to be sent again on another connection; a
/// gateway may have taken the first one although its answer was lost, so the second counts the batch as offered. Said
/// wrongly, the gateway's memory of the first would look like an old copy of this queue.
#[derive(Clone)]
struct Offered {
    before: Sequence,
    with_batch: Sequence,
    reports: Arc<AtomicUsize>,
}

impl Offered {
    fn new(batch: &Batch) -> Self {
        let before = batch.offered_through;
        Self {
            before,
            with_batch: batch.range().map_or(before, |range| before.max(*range.end())),
            reports: Arc::default(),
        }
    }

    /// For a report about to be sent.
    fn say(&self) -> Sequence {
        self.reports.fetch_add(1, Ordering::Relaxed);
        self.said()
    }

    /// What the last report said.
    fn said(&self) -> Sequence {
        if self.reports.load(Ordering::Relaxed) > 1 {
            self.with_batch
        } else {
            self.before
        }
    }
}

/// Reads the batch and marks it as offered. From here on a gateway may know of it, whatever happens to this process.
fn take(queue: &mut Queue, start: StartExchange) -> Result<(Batch, engine::Batch), StorageError> {
    let max_rows = usize::try_from(start.max_rows).unwrap_or(usize::MAX);
    let max_bytes = usize::try_from(start.max_bytes).unwrap_or(usize::MAX);
    let batch = queue.next_batch(max_rows, max_bytes)?;
    if let Some(range) = batch.range() {
        queue.mark_offered(*range.end())?;
    }
    let rows = u32::try_from(batch.observations.len()).unwrap_or(u32::MAX);
    let facts = engine::Batch {
        rows,
        more: batch.queue.pending > u64::from(rows),
        next_sequence: queue.next_sequence()?,
        offered_through: batch.offered_through,
    };
    Ok((batch, facts))
}
