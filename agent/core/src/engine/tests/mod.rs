//! What the engine promises, rule by rule. The harness below is the driver's side of the conversation.

mod draining;
mod ending;
mod liveness;
mod replies;
mod schedule;
mod stale;

use std::time::Duration;

use apollo_wire::{DesiredState, Rejection, SequenceRange, UnixMillis, Verdicts};

use super::*;

pub(super) const LIMITS: Limits = Limits {
    sync_interval: Duration::from_secs(30),
    heartbeat: Duration::from_secs(60),
    batch_rows: 8,
    batch_bytes: 1_000,
    backoff_initial: Duration::from_secs(1),
    backoff_cap: Duration::from_secs(16),
    refused_delay: Duration::from_secs(100),
    retry_after_cap: Duration::from_secs(1_000),
};

/// An engine at a clock that the test moves.
pub(super) struct Rig {
    pub(super) engine: Engine,
    pub(super) now: Monotonic,
}

impl Rig {
    /// An engine with `pending` rows at time zero, its first exchange begun.
    pub(super) fn new(pending: u64) -> (Self, StartExchange) {
        let start = Start {
            now: Monotonic::ZERO,
            device: device("buoy-1"),
            pending,
            jitter_seed: 1,
        };
        let mut rig = Self {
            engine: Engine::new(LIMITS, start),
            now: Monotonic::ZERO,
        };
        let first = rig.started();
        (rig, first)
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.engine.handle(event, self.now);
    }

    pub(super) fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.engine.poll_effect()).collect()
    }

    /// The one effect there is: the start of an exchange.
    pub(super) fn started(&mut self) -> StartExchange {
        match self.effects().as_slice() {
            [Effect::StartExchange(start)] => *start,
            other => panic!("expected one exchange to start, got {other:?}"),
        }
    }

    /// The status recorded last among the effects.
    pub(super) fn status(&mut self) -> Status {
        let status = self.effects().into_iter().rev().find_map(|effect| match effect {
            Effect::RecordStatus(status) => Some(status),
            _ => None,
        });
        status.expect("a status was recorded")
    }

    pub(super) fn wait(&self) -> Duration {
        self.engine
            .poll_timeout()
            .expect("a timer is armed")
            .since(self.now)
    }

    /// Lets the timer fire, and returns the exchange it begins.
    pub(super) fn fire(&mut self) -> StartExchange {
        self.now = self.engine.poll_timeout().expect("a timer is armed");
        self.tell(Event::TimerFired);
        self.started()
    }

    pub(super) fn answer(&mut self, start: StartExchange, batch: Batch, verdicts: Verdicts) {
        let desired = if start.poll {
            DesiredOutcome::NotModified
        } else {
            DesiredOutcome::NotAsked
        };
        self.tell(Event::Exchanged(Exchanged {
            id: start.id,
            batch: Some(batch),
            report: Ok(verdicts),
            desired,
        }));
    }

    /// Answers the exchange, settling all of its `rows`, and leaves `pending`.
    pub(super) fn succeed(&mut self, start: StartExchange, rows: u32, pending: u64) {
        let batch = Batch {
            more: pending > 0,
            ..batch(rows)
        };
        self.answer(start, batch, acked(u64::from(rows)));
        self.tell(Event::Settled {
            id: start.id,
            settled: u64::from(rows),
            pending,
        });
    }

    pub(super) fn fail(&mut self, start: StartExchange, kind: FailureKind, retry_after: Option<Duration>) {
        self.fail_with(start, batch(1), kind, retry_after);
    }

    pub(super) fn fail_with(
        &mut self,
        start: StartExchange,
        batch: Batch,
        kind: FailureKind,
        retry_after: Option<Duration>,
    ) {
        let failure = Failure {
            kind,
            retry_after,
            message: "it failed".to_owned(),
        };
        let desired = DesiredOutcome::NotAsked;
        self.tell(Event::Exchanged(Exchanged {
            id: start.id,
            batch: Some(batch),
            report: Err(failure),
            desired,
        }));
    }
}

pub(super) fn device(name: &str) -> DeviceName {
    name.parse().unwrap()
}

/// The first `rows` rows of a queue.
pub(super) fn batch(rows: u32) -> Batch {
    Batch {
        rows,
        more: false,
        next_sequence: u64::from(rows) + 1,
        offered_through: 0,
    }
}

/// Verdicts that acknowledge the sequences 1 to `last`.
pub(super) fn acked(last: u64) -> Verdicts {
    Verdicts {
        epoch: 1,
        highest_sequence: last,
        acked: (last > 0)
            .then_some(SequenceRange { first: 1, last })
            .into_iter()
            .collect(),
        accepted: u32::try_from(last).unwrap(),
        duplicates: 0,
        orphaned: 0,
        rejected: Vec::<Rejection>::new(),
        server_time: UnixMillis::saturating(0),
        clock_skew_ms: 0,
    }
}

pub(super) fn document(name: &str) -> Document {
    let desired = DesiredState {
        device: device(name),
        processes: vec![],
    };
    Document {
        etag: Some("\"a\"".to_owned()),
        desired,
    }
}
