//! How runs are ended, whatever the reason, and how the end of a stop is reported.

use apollo_wire::ProcessRef;

use super::{Effect, Exit, Input, State, StopGoal, StopSignal, Supervisor, next};
use crate::time::Monotonic;

impl Supervisor {
    /// Ends whatever runs of a process, for `goal`; without a run the goal is reached at once.
    pub(super) fn halt(&mut self, process: &ProcessRef, goal: StopGoal, now: Monotonic) {
        let Some(entry) = self.processes.get_mut(process) else {
            return;
        };
        let before = entry.state;
        let grace = before.run().map(|run| run.grace).unwrap_or_default();
        let grace = if self.shutting_down {
            grace.min(self.limits.shutdown_grace_max)
        } else {
            grace
        };
        let Ok(state) = next(before, Input::Halt { goal, grace, now }) else {
            return;
        };
        entry.state = state;
        match before {
            State::Running { run, .. } => self.effects.push_back(Effect::Signal {
                process: process.clone(),
                run: run.id,
                signal: StopSignal::Term,
            }),
            // What had no run and gets one next is not worth a word before that has started.
            State::Starting(_) | State::Stopping { .. } => {}
            _ if goal == StopGoal::Replace => {}
            _ => self.settle(process, before, goal, None),
        }
    }

    /// Reports that a stop is complete, and forgets a removed process.
    pub(super) fn settle(&mut self, process: &ProcessRef, before: State, goal: StopGoal, exit: Option<Exit>) {
        let Some(entry) = self.processes.get_mut(process) else {
            return;
        };
        self.effects
            .push_back(Effect::Observe(entry.stopped(process, before, goal, exit)));
        if goal == StopGoal::Remove {
            self.processes.remove(process);
            self.effects.push_back(Effect::Forget(process.clone()));
        }
    }

    /// Stops what runs or would, and leaves what has come to rest as it is.
    pub(super) fn shut_down(&mut self, now: Monotonic) {
        self.shutting_down = true;
        let processes: Vec<ProcessRef> = self.processes.keys().cloned().collect();
        for process in processes {
            let Some(entry) = self.processes.get_mut(&process) else {
                continue;
            };
            entry.held = None;
            match entry.state {
                State::Succeeded | State::Failed | State::Stopped => {}
                // These stops mean what they meant; only the time they have left may get shorter.
                State::Stopping { goal, .. } if goal != StopGoal::Replace => self.halt(&process, goal, now),
                _ => self.halt(&process, StopGoal::Shutdown, now),
            }
        }
    }
}
