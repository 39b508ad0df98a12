//! What the tests build on: small queues in temporary directories.

use std::{ops::RangeInclusive, sync::LazyLock};

use apollo_agent::{
    clock::ClockFacts,
    queue::{Batch, NewObservation, Queue, QueueLimits},
};
use apollo_wire::{
    Clock, ProcessState, RejectReason, Rejection, Sequence, SequenceRange, UnixMillis, Verdicts,
};
use tempfile::TempDir;

/// 2025-11-24T10:20:41.194Z.
pub(crate) static NOW: LazyLock<ClockFacts> = LazyLock::new(|| ClockFacts {
    now: UnixMillis::saturating(1_763_979_641_194),
    uptime_ms: 1_000,
    clock: Clock::Synced,
});

/// A queue in a directory that goes away with it.
pub(crate) struct Scratch {
    pub(crate) queue: Queue,
    pub(crate) dir: TempDir,
    limits: QueueLimits,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self::with_limits(QueueLimits::default())
    }

    pub(crate) fn with_limits(limits: QueueLimits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            queue: open(&dir, limits),
            dir,
            limits,
        }
    }

    pub(crate) fn rows(max_rows: u64) -> Self {
        Self::with_limits(QueueLimits {
            max_rows,
            ..QueueLimits::default()
        })
    }

    /// A second connection, as another process has it.
    pub(crate) fn another(&self) -> Queue {
        open(&self.dir, self.limits)
    }

    /// Closes and opens again, as after a restart.
    pub(crate) fn reopen(&mut self) {
        self.queue = open(&self.dir, self.limits);
    }

    /// The same after another start of the machine.
    pub(crate) fn reopen_at_boot(&mut self, boot_id: &str) {
        self.queue = Queue::open_at_boot(self.dir.path(), self.limits, boot_id.to_owned()).unwrap();
    }

    /// The file through SQLite itself, past the queue.
    pub(crate) fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir.path().join("agent.db")).unwrap()
    }

    pub(crate) fn append(&mut self, count: usize) -> RangeInclusive<Sequence> {
        self.queue.append(&vec![row(""); count]).unwrap()
    }

    pub(crate) fn batch(&mut self) -> Batch {
        self.queue.next_batch(10_000, usize::MAX).unwrap()
    }

    /// Offers everything pending, as the driver does before it sends.
    pub(crate) fn offer(&mut self) -> Batch {
        let batch = self.batch();
        self.queue.mark_offered(self.queue.high_water().unwrap()).unwrap();
        batch
    }

    pub(crate) fn pending(&mut self) -> Vec<Sequence> {
        self.batch()
            .observations
            .iter()
            .map(|observation| observation.seq)
            .collect()
    }

    /// Gaps as (first, last, reason).
    pub(crate) fn gaps(&self) -> Vec<(u64, u64, String)> {
        self.queue
            .gaps()
            .unwrap()
            .into_iter()
            .map(|gap| (gap.first, gap.last, gap.reason))
            .collect()
    }
}

fn open(dir: &TempDir, limits: QueueLimits) -> Queue {
    Queue::open_at_boot(dir.path(), limits, "boot-a".to_owned()).unwrap()
}

pub(crate) fn row(message: &str) -> NewObservation {
    let mut row = NewObservation::new("default/a".parse().unwrap(), &NOW);
    row.state = Some(ProcessState::Running);
    row.message = message.to_owned();
    row
}

pub(crate) fn verdicts(acked: &[(u64, u64)], rejected: &[u64]) -> Verdicts {
    let reject = |seq: &u64| Rejection {
        seq: *seq,
        reason: RejectReason::NotBound,
        message: "not yours".to_owned(),
    };
    Verdicts {
        epoch: 1,
        highest_sequence: 0,
        acked: acked.iter().map(|range| SequenceRange::from(*range)).collect(),
        accepted: 0,
        duplicates: 0,
        orphaned: 0,
        rejected: rejected.iter().map(reject).collect(),
        server_time: NOW.now,
        clock_skew_ms: 0,
    }
}

pub(crate) fn gap(first: u64, last: u64, reason: &str) -> (u64, u64, String) {
    (first, last, reason.to_owned())
}
