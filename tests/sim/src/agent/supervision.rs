//! The supervisor's task: orders in, child processes and observations out.

use std::collections::BTreeMap;

use apollo_agent_core::supervise::{
    DesiredItem, Effect, Event as SupervisorEvent, Exit, Limits, Observed, RunId, StopSignal, Supervisor,
};
use apollo_wire::{DesiredState, Observation, ProcessRef, ProcessSpec, ProcessState, SpecHash};
use rand::Rng;

use super::{Machine, disk::token_of, intake::CHANNEL};
use crate::{
    plan::{Disturbance, Millis},
    world::{Context, Event, Life},
};

/// Between SIGTERM and SIGKILL at the end of the agent, and how long the kill may take.
const KILL_WAIT_MS: Millis = 5_000;

/// A child process: it lives on the machine, not in the agent.
#[derive(Debug, Clone)]
pub(super) struct Child {
    pub(super) run: RunId,
    /// The life of the agent that started it.
    pub(super) life: Life,
    pub(super) spec_hash: SpecHash,
    pub(super) pid: u32,
}

/// The supervisor and what it waits for.
pub(super) struct Supervision {
    supervisor: Supervisor,
    /// The latest document, until the task takes it.
    pub(super) order: Option<DesiredState>,
    pub(super) shutdown_asked: bool,
    shutdown_told: bool,
    all_stopped: bool,
    events: Vec<SupervisorEvent>,
    limits: Limits,
}

impl Supervision {
    pub(super) fn new(seed: u64) -> Self {
        let limits = Limits::default();
        Self {
            supervisor: Supervisor::new(limits, seed),
            order: None,
            shutdown_asked: false,
            shutdown_told: false,
            all_stopped: false,
            events: Vec::new(),
            limits,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.all_stopped
    }

    pub(super) fn longest_shutdown_ms(&self) -> Millis {
        Millis::try_from(self.limits.shutdown_grace_max.as_millis()).unwrap_or(Millis::MAX) + KILL_WAIT_MS
    }

    pub(super) fn timeout_ms(&self, began_ms: Millis) -> Option<Millis> {
        let due = self.supervisor.poll_timeout()?;
        Some(began_ms + due.as_millis())
    }

    pub(super) fn on_event(&mut self, event: SupervisorEvent) {
        self.events.push(event);
    }

    /// Every process with the state its supervisor sees.
    pub(super) fn processes(&self) -> BTreeMap<ProcessRef, Option<ProcessState>> {
        self.supervisor
            .processes()
            .map(|(process, state)| (process.clone(), state.visible()))
            .collect()
    }
}

impl Machine {
    /// Has the supervisor go on; false if it waits. It waits while there is no room for what it has to say.
    pub(super) fn supervise(&mut self, context: &mut Context) -> bool {
        let now = context.now;
        let Some(agent) = &mut self.agent else {
            return false;
        };
        let monotonic = agent.monotonic(now);
        if agent.intake.channel.len() >= CHANNEL || agent.supervision.all_stopped {
            return false;
        }
        if let Some(effect) = agent.supervision.supervisor.poll_effect() {
            self.carry_out(context, effect);
            return true;
        }
        let supervision = &mut agent.supervision;
        let event = if supervision.shutdown_asked && !supervision.shutdown_told {
            supervision.shutdown_told = true;
            SupervisorEvent::Shutdown
        } else if let Some(order) = supervision.order.take_if(|_| !supervision.shutdown_told) {
            let items = order.processes.iter();
            SupervisorEvent::Desired(items.filter_map(|item| DesiredItem::read(item).ok()).collect())
        } else if !supervision.events.is_empty() {
            supervision.events.remove(0)
        } else if supervision
            .supervisor
            .poll_timeout()
            .is_some_and(|due| due <= monotonic)
        {
            SupervisorEvent::TimerFired
        } else {
            return false;
        };
        supervision.supervisor.handle(event, monotonic);
        true
    }

    fn carry_out(&mut self, context: &mut Context, effect: Effect) {
        match effect {
            Effect::Spawn {
                process,
                run,
                spec_hash,
                spec,
            } => self.spawn(context, process, run, spec_hash, &spec),
            Effect::Signal { process, run, signal } => self.signal(context, process, run, signal),
            Effect::Observe(observed) => {
                let observation = self.observation(context, observed);
                context.remember(token_of(&observation), &observation);
                if let Some(agent) = &mut self.agent {
                    agent.intake.channel.push_back(observation);
                }
            }
            Effect::Forget(_) | Effect::LeftOut(_) => {}
            Effect::AllStopped => {
                if let Some(agent) = &mut self.agent {
                    agent.supervision.all_stopped = true;
                }
            }
        }
    }

    fn spawn(
        &mut self,
        context: &mut Context,
        process: ProcessRef,
        run: RunId,
        spec_hash: SpecHash,
        spec: &ProcessSpec,
    ) {
        let id = self.id;
        let is = |what: &Disturbance| {
            context
                .disturbances
                .values()
                .any(|disturbance| disturbance == what)
        };
        let event = if is(&Disturbance::SpawnFails { machine: id }) {
            context.count("run: spawn failed");
            SupervisorEvent::SpawnFailed {
                process,
                run,
                error: "no such file".to_owned(),
                permanent: context.chance.runs.random_bool(0.2),
            }
        } else {
            let (lives_ms, exit) = fate(
                context.chance.runs.random(),
                spec,
                is(&Disturbance::CrashLoop { machine: id }),
            );
            self.next_pid += 1;
            let pid = self.next_pid;
            let child = Child {
                run,
                life: self.life,
                spec_hash,
                pid,
            };
            self.children.insert(process.clone(), child);
            if let Some(lives_ms) = lives_ms {
                context.schedule(
                    lives_ms,
                    Event::RunEnds(id, self.life, process.clone(), run, exit),
                );
            }
            SupervisorEvent::Spawned { process, run, pid }
        };
        if let Some(agent) = &mut self.agent {
            agent.supervision.events.insert(0, event);
        }
    }

    fn signal(&mut self, context: &mut Context, process: ProcessRef, run: RunId, signal: StopSignal) {
        let number = match signal {
            StopSignal::Term => 15,
            StopSignal::Kill => 9,
        };
        // Some do not listen to the first one.
        if signal == StopSignal::Kill || context.chance.runs.random_bool(0.9) {
            let after_ms = context.chance.runs.random_range(0..2_000);
            let event = Event::RunEnds(self.id, self.life, process, run, Exit::Signal(number));
            context.schedule(after_ms, event);
        }
    }

    /// A child has ended by itself or by a signal.
    pub fn on_run_ended(
        &mut self,
        context: &mut Context,
        life: Life,
        process: ProcessRef,
        run: RunId,
        exit: Exit,
    ) {
        let is_it = |child: &mut Child| child.run == run && child.life == life;
        if self.children.get_mut(&process).is_none_or(|child| !is_it(child)) {
            return;
        }
        self.children.remove(&process);
        context.count(match exit {
            Exit::Code(_) => "run: exited",
            Exit::Signal(_) => "run: killed",
        });
        let Some(agent) = self.agent.as_mut().filter(|_| life == self.life) else {
            return;
        };
        agent.supervision.on_event(SupervisorEvent::Exited {
            process,
            run,
            exit,
            last_output: Some("the last line".to_owned()),
        });
        self.pump(context);
    }

    fn observation(&mut self, context: &mut Context, observed: Observed) -> Observation {
        if observed.reason.as_str() == "CrashLoop" {
            context.count("run: crash loop");
        }
        Observation {
            state: observed.state,
            spec_hash: observed.spec_hash,
            pid: observed.pid,
            exit_code: observed.exit_code,
            restarts: observed.restarts,
            reason: observed.reason.as_str().to_owned(),
            message: observed.message,
            ..self.new_observation(context, observed.process)
        }
    }
}

/// How long a run lives and how it ends: most live until they are stopped.
fn fate(drawn: u64, spec: &ProcessSpec, crashes: bool) -> (Option<Millis>, Exit) {
    let code = i32::try_from(drawn % 3).unwrap_or(0);
    if crashes {
        return (Some(drawn % 3_000), Exit::Code(1 + code));
    }
    match spec.restart_policy {
        apollo_wire::RestartPolicy::Always if !drawn.is_multiple_of(8) => (None, Exit::Code(0)),
        _ => (Some(1_000 + drawn % 600_000), Exit::Code(code)),
    }
}
