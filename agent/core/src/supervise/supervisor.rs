//! The supervisor: events in, effects and one deadline out.

use std::collections::{BTreeMap, VecDeque};

use apollo_wire::{ProcessRef, RestartPolicy};

use super::{
    Effect, Ending, Event, Exit, Input, Limits, Observed, Reason, RunId, State, StopGoal, StopPhase,
    StopSignal, entry::Entry, next, observed::cut_message,
};
use crate::{jitter::Jitter, time::Monotonic};

/// Decides for every process of the device. See the module.
///
/// After every [`Supervisor::handle`], perform [`Supervisor::poll_effect`] until it is `None`, in order, then wait for
/// the next event or for [`Supervisor::poll_timeout`], whichever comes first. Effects never pile up beyond a few per
/// process and event.
#[derive(Debug)]
pub struct Supervisor {
    pub(super) limits: Limits,
    pub(super) processes: BTreeMap<ProcessRef, Entry>,
    pub(super) effects: VecDeque<Effect>,
    pub(super) shutting_down: bool,
    all_stopped_said: bool,
    jitter: Jitter,
    last_run: u64,
}

impl Supervisor {
    /// A supervisor that knows of no process. `seed` is for the jitter of the backoff.
    #[must_use]
    pub fn new(limits: Limits, seed: u64) -> Self {
        Self {
            limits,
            processes: BTreeMap::new(),
            effects: VecDeque::new(),
            shutting_down: false,
            all_stopped_said: false,
            jitter: Jitter::new(seed),
            last_run: 0,
        }
    }

    /// Takes an event at `now`. Results of runs that are no longer the current one are dropped.
    pub fn handle(&mut self, event: Event, now: Monotonic) {
        match event {
            Event::Desired(items) => self.adopt(items, now),
            Event::Spawned { process, run, pid } => self.spawned(&process, run, pid, now),
            Event::SpawnFailed {
                process,
                run,
                error,
                permanent,
            } => {
                self.spawn_failed(&process, run, error, permanent, now);
            }
            Event::Exited {
                process,
                run,
                exit,
                last_output,
            } => {
                self.exited(&process, run, exit, last_output, now);
            }
            Event::TimerFired => self.fire(now),
            Event::Shutdown => self.shut_down(now),
        }
        self.start_ready();
        self.say_all_stopped();
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to send [`Event::TimerFired`], if nothing else happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Monotonic> {
        self.processes.values().filter_map(Entry::timeout).min()
    }

    /// Every process known and its state, sorted by name.
    pub fn processes(&self) -> impl Iterator<Item = (&ProcessRef, State)> {
        self.processes
            .iter()
            .map(|(process, entry)| (process, entry.state))
    }

    /// The entry whose current run is `run`.
    fn current(&mut self, process: &ProcessRef, run: RunId) -> Option<&mut Entry> {
        self.processes
            .get_mut(process)
            .filter(|entry| entry.state.run().is_some_and(|live| live.id == run))
    }

    fn spawned(&mut self, process: &ProcessRef, run: RunId, pid: u32, now: Monotonic) {
        let Some(entry) = self.current(process, run) else {
            return;
        };
        let Ok(state) = next(entry.state, Input::Spawned { pid, now }) else {
            return;
        };
        entry.state = state;
        let effect = match state {
            State::Running { run, pid, .. } => Effect::Observe(Observed {
                pid: Some(pid),
                ..entry.observed(process, state.visible(), Some(run), Reason::Started)
            }),
            // Overtaken while it started: it has a process group to signal only now.
            _ => Effect::Signal {
                process: process.clone(),
                run,
                signal: StopSignal::Term,
            },
        };
        self.effects.push_back(effect);
    }

    fn spawn_failed(
        &mut self,
        process: &ProcessRef,
        run: RunId,
        error: String,
        permanent: bool,
        now: Monotonic,
    ) {
        let Some(entry) = self.current(process, run) else {
            return;
        };
        let before = entry.state;
        let final_failure = permanent || policy(entry) == RestartPolicy::Never;
        // A run that was no longer wanted says nothing about the spec that is.
        let ending = if final_failure || before.goal().is_some() {
            Ending::Failed
        } else {
            Ending::Again(self.count_short_run(process, now))
        };
        let Some(entry) = self.current(process, run) else {
            return;
        };
        let Ok(state) = next(before, Input::SpawnFailed(ending)) else {
            return;
        };
        entry.state = state;
        if let Some(goal) = before.goal() {
            return self.settle(process, before, goal, None);
        }
        let observed = Observed {
            message: cut_message(error),
            ..entry.observed(process, state.visible(), before.run(), Reason::SpawnFailed)
        };
        self.effects.push_back(Effect::Observe(observed));
    }

    fn exited(
        &mut self,
        process: &ProcessRef,
        run: RunId,
        exit: Exit,
        last_output: Option<String>,
        now: Monotonic,
    ) {
        let Some(entry) = self.current(process, run) else {
            return;
        };
        let before = entry.state;
        let ending = match (policy(entry), exit.is_success()) {
            // It was asked to end: that is no crash, of the old spec or of the new one.
            _ if before.goal().is_some() => Ending::Succeeded,
            (RestartPolicy::Always, _) | (RestartPolicy::OnFailure, false) => {
                Ending::Again(self.count_short_run(process, now))
            }
            (RestartPolicy::OnFailure | RestartPolicy::Never, true) => Ending::Succeeded,
            (RestartPolicy::Never, false) => Ending::Failed,
        };
        let crash_loop_runs = self.limits.crash_loop_runs;
        let Some(entry) = self.current(process, run) else {
            return;
        };
        let Ok(state) = next(before, Input::Exited(ending)) else {
            return;
        };
        entry.state = state;
        (entry.kill_deadline, entry.outlives_kill) = (None, false);
        if let Some(goal) = before.goal() {
            return self.settle(process, before, goal, Some(exit));
        }
        let reason = match ending {
            Ending::Again(_) if !exit.is_success() && entry.short_runs >= crash_loop_runs => {
                Reason::CrashLoop
            }
            Ending::Again(_) => Reason::BackingOff,
            Ending::Succeeded | Ending::Failed => Reason::Exited,
        };
        let message = if exit.is_success() {
            String::new()
        } else {
            last_output.unwrap_or_default()
        };
        let observed = Observed {
            pid: before.pid(),
            exit_code: Some(exit.code()),
            message: cut_message(message),
            ..entry.observed(process, state.visible(), before.run(), reason)
        };
        self.effects.push_back(Effect::Observe(observed));
    }

    /// Counts a run that ended now and draws when the next one may start.
    fn count_short_run(&mut self, process: &ProcessRef, now: Monotonic) -> Monotonic {
        let Some(entry) = self.processes.get_mut(process) else {
            return now;
        };
        if let State::Running { since, .. } = entry.state
            && now.since(since) >= self.limits.healthy_run
        {
            entry.forget_short_runs();
        }
        entry.short_runs = entry.short_runs.saturating_add(1);
        now.plus(entry.backoff.next_delay(&mut self.jitter))
    }

    /// Moves everything on whose time has come.
    fn fire(&mut self, now: Monotonic) {
        let is_due = |entry: &Entry| entry.timeout().is_some_and(|at| at <= now);
        let due: Vec<ProcessRef> = self
            .processes
            .iter()
            .filter(|(_, entry)| is_due(entry))
            .map(|(process, _)| process.clone())
            .collect();
        for process in due {
            let Some(entry) = self.processes.get_mut(&process) else {
                continue;
            };
            if entry.state.timeout().is_some_and(|at| at <= now) {
                match entry.state {
                    State::Stopping {
                        run,
                        phase: StopPhase::Terminating { .. },
                        ..
                    } => {
                        self.effects.push_back(Effect::Signal {
                            process: process.clone(),
                            run: run.id,
                            signal: StopSignal::Kill,
                        });
                        entry.kill_deadline = Some(now.plus(self.limits.kill_wait));
                        entry.state = next(entry.state, Input::GraceOver).unwrap_or(entry.state);
                    }
                    _ => entry.state = next(entry.state, Input::Due).unwrap_or(entry.state),
                }
            }
            if entry.kill_deadline.take_if(|at| *at <= now).is_some() {
                entry.outlives_kill = true;
                self.effects.push_back(Effect::Observe(Observed {
                    pid: entry.state.pid(),
                    ..entry.observed(&process, None, entry.state.run(), Reason::Unkillable)
                }));
            }
            if let Some((item, _)) = entry.held.take_if(|(_, until)| *until <= now) {
                self.take(item, now);
            }
        }
    }

    /// Starts what is Pending. An addition waits until every removal is done, so that a renamed process finds the
    /// port, device or memory of its old self free; but not for a process that the kernel does not let die.
    fn start_ready(&mut self) {
        if self.shutting_down {
            return;
        }
        let removing = self
            .processes
            .values()
            .any(|entry| entry.state.goal() == Some(StopGoal::Remove) && !entry.outlives_kill);
        for (process, entry) in &mut self.processes {
            if entry.state != State::Pending || (removing && !entry.established) {
                continue;
            }
            self.last_run += 1;
            let Some((run, spec)) = entry.next_run(RunId(self.last_run)) else {
                continue;
            };
            if let Ok(state) = next(entry.state, Input::Start(run)) {
                entry.state = state;
                let (run, spec_hash) = (run.id, run.spec_hash);
                self.effects.push_back(Effect::Spawn {
                    process: process.clone(),
                    run,
                    spec_hash,
                    spec,
                });
            }
        }
    }

    fn say_all_stopped(&mut self) {
        let alive = self.processes.values().any(|entry| entry.state.run().is_some());
        if self.shutting_down && !alive && !self.all_stopped_said {
            self.all_stopped_said = true;
            self.effects.push_back(Effect::AllStopped);
        }
    }
}

/// The restart policy that applies; `Never` where there is nothing that could be started.
fn policy(entry: &Entry) -> RestartPolicy {
    entry
        .item
        .spec
        .as_ref()
        .map_or(RestartPolicy::Never, |spec| spec.restart_policy)
}
