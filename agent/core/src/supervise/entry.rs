//! What the supervisor remembers of one process.

use std::{sync::Arc, time::Duration};

use apollo_wire::{ProcessRef, ProcessSpec, ProcessState, SpecHash};

use super::{DesiredItem, Exit, Limits, Observed, Reason, Run, RunId, State, StopGoal};
use crate::{backoff::Backoff, time::Monotonic};

/// One process: what is wanted of it and where it is.
#[derive(Debug)]
pub(super) struct Entry {
    /// What is wanted: the newest item that was taken.
    pub(super) item: DesiredItem,
    /// Where it is.
    pub(super) state: State,
    /// Runs of this spec so far.
    pub(super) runs: u32,
    /// Short runs in a row.
    pub(super) short_runs: u32,
    /// The waits between them.
    pub(super) backoff: Backoff,
    /// Whether it ever had a run. A process without one is an addition, and waits for removals.
    pub(super) established: bool,
    /// When a run that was sent SIGKILL is to be reported as alive all the same.
    pub(super) kill_deadline: Option<Monotonic>,
    /// The run was alive then: nobody else waits for its end any more.
    pub(super) outlives_kill: bool,
    /// An item that contradicts the generation already known, and when to believe it.
    pub(super) held: Option<(DesiredItem, Monotonic)>,
}

impl Entry {
    pub(super) fn new(item: DesiredItem, limits: &Limits) -> Self {
        let backoff = Backoff::new(limits.backoff_initial, limits.backoff_max);
        Self {
            item,
            state: State::Pending,
            runs: 0,
            short_runs: 0,
            backoff,
            established: false,
            kill_deadline: None,
            outlives_kill: false,
            held: None,
        }
    }

    /// The next wait is the first one again.
    pub(super) fn forget_short_runs(&mut self) {
        self.short_runs = 0;
        self.backoff.reset();
    }

    /// Takes a new item; its runs are counted from zero if it brings another spec.
    pub(super) fn want(&mut self, item: DesiredItem) {
        if item.spec_hash != self.item.spec_hash {
            self.runs = 0;
            self.forget_short_runs();
        }
        self.item = item;
        self.held = None;
    }

    /// What the wanted item asks of a run that is not its own.
    pub(super) fn goal(&self) -> StopGoal {
        match &self.item.spec {
            Err(_) => StopGoal::Refuse,
            Ok(spec) if spec.suspend => StopGoal::Suspend,
            Ok(_) => StopGoal::Replace,
        }
    }

    /// Numbers the next run of the wanted spec.
    pub(super) fn next_run(&mut self, id: RunId) -> Option<(Run, Arc<ProcessSpec>)> {
        let spec = Arc::clone(self.item.spec.as_ref().ok()?);
        let grace = Duration::from_secs(u64::from(spec.stop_grace_period_seconds));
        let run = Run {
            id,
            spec_hash: self.item.spec_hash,
            grace,
            restarts: self.runs,
        };
        self.runs = self.runs.saturating_add(1);
        self.established = true;
        Some((run, spec))
    }

    /// When anything about this process moves on by itself.
    pub(super) fn timeout(&self) -> Option<Monotonic> {
        let held_until = self.held.as_ref().map(|(_, until)| *until);
        [self.state.timeout(), self.kill_deadline, held_until]
            .into_iter()
            .flatten()
            .min()
    }

    /// An observation about `run`, or about the wanted spec if there is none.
    pub(super) fn observed(
        &self,
        process: &ProcessRef,
        state: Option<ProcessState>,
        run: Option<Run>,
        reason: Reason,
    ) -> Observed {
        Observed {
            process: process.clone(),
            state,
            spec_hash: Some(run.map_or(self.item.spec_hash, |run| run.spec_hash)),
            pid: None,
            exit_code: None,
            restarts: run.map(|run| run.restarts),
            reason,
            message: String::new(),
        }
    }

    /// The observation that a stop for `goal` is complete: `before` is the state it began in or went through.
    pub(super) fn stopped(
        &self,
        process: &ProcessRef,
        before: State,
        goal: StopGoal,
        exit: Option<Exit>,
    ) -> Observed {
        let (reason, about): (Reason, fn(Run, SpecHash) -> SpecHash) = match goal {
            StopGoal::Replace => (Reason::Replaced, |run, _| run.spec_hash),
            StopGoal::Remove => (Reason::Removed, |run, _| run.spec_hash),
            StopGoal::Shutdown => (Reason::AgentStopping, |run, _| run.spec_hash),
            // These two are what the new spec asks for, or comes to.
            StopGoal::Suspend => (Reason::Suspended, |_, wanted| wanted),
            StopGoal::Refuse => (Reason::SpecInvalid, |_, wanted| wanted),
        };
        let message = match &self.item.spec {
            Err(defect) if goal == StopGoal::Refuse => defect.to_string(),
            _ => String::new(),
        };
        let wanted = self.item.spec_hash;
        Observed {
            spec_hash: Some(before.run().map_or(wanted, |run| about(run, wanted))),
            pid: before.pid(),
            exit_code: exit.map(Exit::code),
            message: super::observed::cut_message(message),
            ..self.observed(process, self.state.visible(), before.run(), reason)
        }
    }
}
