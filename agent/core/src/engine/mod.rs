//! The sync engine: decides when to talk to the gateway, how much to send, and what a reply means.
//!
//! It is a state machine without IO (see [`state`]). Feed it with [`Engine::handle`], carry out what
//! [`Engine::poll_effect`] returns until it returns `None`, and send [`Event::TimerFired`] when the moment of
//! [`Engine::poll_timeout`] has come. What it holds, whatever happens:
//!
//! - while it is not stopped, an operation is running or the timer is armed. Delays after failures grow with
//!   jitter up to a cap, are never shorter than the gateway's Retry-After, and start over after a success.
//! - rows leave only by [`Effect::Settle`], which carries the verdicts of the exchange in flight. Results of any
//!   other exchange are dropped.
//! - a reply that shows the queue to be an old copy settles nothing; the instance is renewed instead.
//! - One operation runs at a time, so every delay, batch size and retry has one place where it is decided.

mod delay;
mod event;
mod limits;
mod rollback;
mod situation;
pub mod state;

use std::collections::VecDeque;

pub use event::{
    Batch, DesiredOutcome, Document, Effect, Event, Exchanged, Failure, FailureKind, Start, StartExchange,
    Status,
};
pub use limits::Limits;
pub use situation::Situation;
use state::{ExchangeId, Move, Shutdown, State, Wait};

use crate::{backoff::Backoff, jitter::Jitter, time::Monotonic};
use apollo_wire::{DeviceName, Verdicts};

/// The sync engine. See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Engine {
    limits: Limits,
    device: DeviceName,
    state: State,
    pending: u64,
    effects: VecDeque<Effect>,
    backoff: Backoff,
    jitter: Jitter,
    next_id: u64,
    /// Most rows of the next batch: less than the limit after a 413, until the queue is drained.
    batch_rows: u32,
    /// The batch whose verdicts are being settled.
    batch: Option<Batch>,
    /// When the last exchange was over.
    last_exchange: Monotonic,
    /// Whether the poll of this drain has been answered: the exchanges that follow at once need none.
    polled: bool,
    /// What went wrong beside a good report.
    side_error: Option<String>,
    /// Whether a gateway has answered a report of this process.
    introduced: bool,
    /// Whether the instance was renewed since the last success or delay: a second time without either has to wait.
    renewed: bool,
    /// The process is asked to end.
    shutdown: Shutdown,
}

impl Engine {
    /// An engine that begins its first exchange at once.
    #[must_use]
    pub fn new(limits: Limits, start: Start) -> Self {
        let mut engine = Self {
            limits,
            device: start.device,
            state: State::Waiting {
                until: start.now,
                wait: Wait::Interval,
            },
            pending: start.pending,
            effects: VecDeque::new(),
            backoff: Backoff::new(limits.backoff_initial, limits.backoff_cap),
            jitter: Jitter::new(start.jitter_seed),
            next_id: 1,
            batch_rows: limits.batch_rows.max(1),
            batch: None,
            last_exchange: start.now,
            polled: false,
            side_error: None,
            introduced: false,
            renewed: false,
            shutdown: Shutdown::No,
        };
        engine.attempt();
        engine
    }

    /// Where the engine stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Rows known to wait.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.pending
    }

    /// The next thing to do, in order; `None` when all is done.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Event::TimerFired`] is due; `None` while an operation is running.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Monotonic> {
        match self.state {
            State::Waiting { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Takes in what happened. Events that do not fit the state, such as results of an exchange long over, change
    /// nothing.
    pub fn handle(&mut self, event: Event, now: Monotonic) {
        match (event, self.state) {
            (Event::Queued { pending }, state) => self.on_queued(pending, state, now),
            (Event::TimerFired, State::Waiting { until, .. }) if now >= until => self.attempt(),
            (Event::Exchanged(done), State::Exchanging { id }) if done.id == id => {
                self.on_exchanged(done, now);
            }
            (Event::Settled { id, settled, pending }, State::Settling { id: current }) if id == current => {
                self.on_settled(settled, pending, now);
            }
            (Event::SettleFailed { id, message }, State::Settling { id: current })
            | (Event::RenewFailed { id, message }, State::Renewing { id: current })
                if id == current =>
            {
                self.fail(Failure::new(FailureKind::Storage, message), now);
            }
            (Event::Renewed { id, pending }, State::Renewing { id: current }) if id == current => {
                self.on_renewed(pending, now);
            }
            (Event::Shutdown, state) => self.on_shutdown(state),
            _ => {}
        }
    }

    fn on_queued(&mut self, pending: u64, state: State, now: Monotonic) {
        self.pending = pending;
        if let State::Waiting {
            until,
            wait: Wait::Interval,
        } = state
            && pending > 0
        {
            let due = self.last_exchange.plus(self.limits.interval_with_rows()).max(now);
            if due >= until {
                return;
            }
            self.go(Move::Rest {
                until: due,
                wait: Wait::Interval,
            });
            // What is due at once is not worth a write: the exchange itself will be recorded.
            if due > now {
                self.effects.push_back(Effect::RecordPlan(due));
            }
        }
    }

    fn on_exchanged(&mut self, done: Exchanged, now: Monotonic) {
        self.last_exchange = now;
        self.on_desired(done.desired);
        match (done.report, done.batch) {
            (Ok(verdicts), Some(batch)) => self.on_verdicts(verdicts, batch, now),
            (Ok(_), None) => {
                let message = "a reply without a report".to_owned();
                self.fail(Failure::new(FailureKind::Malformed, message), now);
            }
            (Err(failure), batch) => self.on_report_failed(failure, batch, now),
        }
    }

    fn on_desired(&mut self, outcome: DesiredOutcome) {
        self.side_error = None;
        match outcome {
            DesiredOutcome::NotAsked => {}
            DesiredOutcome::NotModified => self.polled = true,
            DesiredOutcome::Changed(document) if document.desired.device == self.device => {
                self.polled = true;
                self.effects.push_back(Effect::StoreDesired(document));
            }
            DesiredOutcome::Changed(document) => {
                let (theirs, own) = (document.desired.device, &self.device);
                self.side_error = Some(format!(
                    "the desired document is for device {theirs}, this is {own}: refused"
                ));
            }
            DesiredOutcome::Failed(failure) => self.side_error = Some(failure.message),
        }
    }

    fn on_verdicts(&mut self, verdicts: Verdicts, batch: Batch, now: Monotonic) {
        self.introduced = true;
        if let Some(why) = rollback::sign_of_old_copy(&verdicts, &batch) {
            self.on_old_copy(why, now);
            return;
        }
        if let State::Exchanging { id } = self.state {
            self.batch = Some(batch);
            self.go(Move::Settle);
            self.effects.push_back(Effect::Settle { id, verdicts });
        }
    }

    fn on_old_copy(&mut self, why: String, now: Monotonic) {
        if self.renewed {
            // A fresh instance is random, so either the gateway's replies make no sense, or the queue was copied once more
            // before a gateway had answered. Renewing at once would not end with the former, never would block the
            // latter for good: one new instance for each delay of the backoff.
            let message = format!("{why}, although the instance is new: trying another one later");
            self.renewed = false;
            self.fail(Failure::new(FailureKind::Malformed, message), now);
        } else if let State::Exchanging { id } = self.state {
            self.go(Move::Renew);
            self.effects.push_back(Effect::RenewInstance { id, why });
        }
    }

    fn on_report_failed(&mut self, failure: Failure, batch: Option<Batch>, now: Monotonic) {
        let rows = batch.map_or(0, |batch| batch.rows);
        if failure.kind == FailureKind::TooLarge && rows > 1 {
            self.batch_rows = rows / 2;
            self.attempt();
            return;
        }
        self.fail(failure, now);
    }

    fn on_settled(&mut self, settled: u64, pending: u64, now: Monotonic) {
        let batch = self.batch.take();
        self.pending = pending;
        let offered = batch.map_or(0, |batch| batch.rows);
        if offered > 0 && settled == 0 {
            let message = format!("the gateway settled none of the {offered} rows offered");
            self.fail(Failure::new(FailureKind::Malformed, message), now);
            return;
        }
        self.backoff.reset();
        self.renewed = false;
        // A batch without rows moves nothing, whatever the counters say: there is no next one at once.
        let more = offered > 0 && batch.is_some_and(|batch| batch.more) && pending > 0;
        if !more {
            self.batch_rows = self.limits.batch_rows.max(1);
        }
        match self.shutdown {
            Shutdown::No | Shutdown::Asked if more => self.attempt(),
            Shutdown::Asked if pending > 0 => self.attempt_last(),
            Shutdown::No => self.rest(now),
            Shutdown::Asked | Shutdown::Last => self.finish(None),
        }
    }

    fn on_renewed(&mut self, pending: u64, now: Monotonic) {
        self.pending = pending;
        self.renewed = true;
        match self.shutdown {
            Shutdown::Last => {
                let message = "ended before the new instance was reported";
                self.finish(Some(Failure::new(FailureKind::Interrupted, message)));
            }
            Shutdown::No | Shutdown::Asked => {
                self.last_exchange = now;
                self.attempt();
            }
        }
    }

    fn on_shutdown(&mut self, state: State) {
        match state {
            State::Waiting { .. } => self.attempt_last(),
            _ if self.shutdown == Shutdown::No => self.shutdown = Shutdown::Asked,
            _ => {}
        }
    }

    /// Waits for the next regular exchange.
    fn rest(&mut self, now: Monotonic) {
        self.polled = false;
        let interval = if self.pending > 0 {
            self.limits.interval_with_rows()
        } else {
            self.limits.heartbeat
        };
        let until = now.plus(interval);
        self.go(Move::Rest {
            until,
            wait: Wait::Interval,
        });
        self.record(None, Some(until));
    }

    /// Waits for the next try.
    fn fail(&mut self, failure: Failure, now: Monotonic) {
        self.polled = false;
        if self.shutdown != Shutdown::No {
            self.finish(Some(failure));
            return;
        }
        let delay = delay::after(&failure, &self.limits, &mut self.backoff, &mut self.jitter);
        let until = now.plus(delay);
        self.go(Move::Rest {
            until,
            wait: Wait::Retry,
        });
        self.record(Some(failure), Some(until));
    }

    fn attempt(&mut self) {
        let id = ExchangeId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        self.go(Move::Attempt(id));
        let last = self.shutdown == Shutdown::Last;
        self.effects.push_back(Effect::StartExchange(StartExchange {
            id,
            max_rows: self.batch_rows,
            max_bytes: self.limits.batch_bytes,
            poll: !self.polled && !last,
            next_contact_seconds: (!last).then(|| self.limits.next_contact_seconds()),
            introduce: !self.introduced,
        }));
    }

    fn attempt_last(&mut self) {
        self.shutdown = Shutdown::Last;
        self.attempt();
    }

    fn finish(&mut self, failure: Option<Failure>) {
        self.go(Move::Finish);
        self.record(failure, None);
        self.effects.push_back(Effect::Stop);
    }

    fn record(&mut self, failure: Option<Failure>, next_attempt: Option<Monotonic>) {
        let warning = self.side_error.take();
        self.effects.push_back(Effect::RecordStatus(Status {
            failure,
            warning,
            next_attempt,
        }));
    }

    fn go(&mut self, step: Move) {
        match self.state.next(step) {
            Ok(state) => self.state = state,
            // Every caller has matched the state first; keeping it is the only sound thing to do.
            Err(illegal) => debug_assert!(false, "{illegal}"),
        }
    }
}

#[cfg(test)]
mod tests;
