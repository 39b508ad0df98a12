//! Random histories against a small model of the operating system: whatever comes in whatever order, the invariants of
//! `docs/supervision.md` hold after every step.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use apollo_agent_core::{
    supervise::{
        DesiredItem, Effect, Event, Exit, Limits, RunId, SpecDefect, State, StopGoal, StopSignal, Supervisor,
    },
    time::Monotonic,
};
use apollo_wire::{ProcessRef, ProcessSpec, ProcessState, RestartPolicy, SpecHash};
use proptest::prelude::*;

/// What happens next; the numbers pick among what is possible at that point.
#[derive(Debug, Clone)]
enum Step {
    Desire(Vec<(u8, i64, u8)>),
    AnswerSpawn(usize, bool),
    Exit(usize, i32),
    /// A result of a run that is long over, or never was.
    Stray(u8, u64),
    Pass(u64),
    Timer,
    Shutdown,
}

fn step() -> impl Strategy<Value = Step> {
    let desired = prop::collection::vec((0..5u8, 1..4i64, 0..6u8), 0..6);
    prop_oneof![
        4 => desired.prop_map(Step::Desire),
        6 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(pick, ok)| Step::AnswerSpawn(pick, ok)),
        4 => (any::<usize>(), 0..3i32).prop_map(|(pick, code)| Step::Exit(pick, code)),
        1 => (0..5u8, 0..20u64).prop_map(|(process, run)| Step::Stray(process, run)),
        2 => (0..200_000u64).prop_map(Step::Pass),
        4 => Just(Step::Timer),
        1 => Just(Step::Shutdown),
    ]
}

fn process(number: u8) -> ProcessRef {
    ProcessRef::new("default", &format!("p{number}")).unwrap()
}

/// The kind of spec follows from its hash, as it must.
fn item((number, generation, kind): (u8, i64, u8)) -> DesiredItem {
    let mut spec: ProcessSpec =
        serde_json::from_str(r#"{"deviceRef":{"name":"d"},"command":["run"],"stopGracePeriodSeconds":2}"#)
            .unwrap();
    spec.suspend = kind == 1;
    spec.restart_policy = [
        RestartPolicy::Always,
        RestartPolicy::OnFailure,
        RestartPolicy::Never,
    ][usize::from(kind % 3)];
    let defect = || SpecDefect {
        field: "spec.command".to_owned(),
        problem: "empty".to_owned(),
    };
    let spec = if kind == 2 {
        Err(defect())
    } else {
        Ok(Arc::new(spec))
    };
    DesiredItem {
        process: process(number),
        generation,
        spec_hash: SpecHash([kind; 8]),
        spec,
    }
}

/// The operating system and the gateway's eye, as far as effects show them.
#[derive(Default)]
struct World {
    asked: Vec<(ProcessRef, RunId)>,
    live: Vec<(ProcessRef, RunId)>,
    terminated: BTreeSet<RunId>,
    /// When SIGKILL was sent.
    killed: BTreeMap<RunId, Monotonic>,
    ever_ran: BTreeSet<ProcessRef>,
    seen: BTreeMap<ProcessRef, ProcessState>,
    all_stopped: bool,
    shut_down: bool,
}

impl World {
    fn has_run(&self, process: &ProcessRef) -> bool {
        self.asked
            .iter()
            .chain(&self.live)
            .any(|(other, _)| other == process)
    }

    /// Performs the effects of one event and checks each as it comes.
    fn perform(&mut self, supervisor: &mut Supervisor, now: Monotonic) {
        let removing: Vec<ProcessRef> = self.removing(supervisor, now);
        let mut started = false;
        while let Some(effect) = supervisor.poll_effect() {
            assert!(!self.all_stopped, "{effect:?} after AllStopped");
            match effect {
                Effect::Spawn { process, run, .. } => {
                    assert!(!self.shut_down, "a start after the shutdown");
                    assert!(!self.has_run(&process), "two runs of {process}");
                    let addition = self.ever_ran.insert(process.clone());
                    assert!(
                        !addition || removing.is_empty(),
                        "{process} was added while {removing:?} went"
                    );
                    self.asked.push((process, run));
                    started = true;
                }
                Effect::Signal { run, signal, .. } => {
                    assert!(!started, "a stop after a start");
                    assert!(
                        self.live.iter().any(|(_, live)| *live == run),
                        "a signal to {run:?}, not alive"
                    );
                    let first = self.terminated.insert(run);
                    assert_eq!(first, signal == StopSignal::Term, "SIGTERM once and first");
                    if signal == StopSignal::Kill {
                        assert_eq!(self.killed.insert(run, now), None, "SIGKILL once");
                    }
                }
                Effect::Observe(observed) => {
                    assert!(observed.message.len() <= apollo_wire::limits::MESSAGE_BYTES);
                    if let Some(state) = observed.state {
                        self.seen.insert(observed.process, state);
                    }
                }
                Effect::Forget(process) => {
                    assert!(!self.has_run(&process), "forgotten while alive");
                    assert_eq!(self.seen.get(&process), Some(&ProcessState::Stopped));
                    self.ever_ran.remove(&process);
                }
                Effect::LeftOut(_) => panic!("no document is that long here"),
                Effect::AllStopped => {
                    assert!(self.shut_down && self.asked.is_empty() && self.live.is_empty());
                    self.all_stopped = true;
                }
            }
        }
    }

    /// The removals that additions wait for: those that are not known to hang in the kernel.
    fn removing(&self, supervisor: &Supervisor, now: Monotonic) -> Vec<ProcessRef> {
        let hangs = |state: State| {
            let killed = state.run().and_then(|run| self.killed.get(&run.id));
            killed.is_some_and(|killed| now.since(*killed) >= Limits::default().kill_wait)
        };
        supervisor
            .processes()
            .filter(|(_, state)| state.goal() == Some(StopGoal::Remove) && !hangs(*state))
            .map(|(process, _)| process.clone())
            .collect()
    }

    /// What must be true between any two events.
    fn check(&self, supervisor: &Supervisor, now: Monotonic) {
        for (process, state) in supervisor.processes() {
            assert_eq!(
                state.run().is_some(),
                self.has_run(process),
                "{process} is {state:?}"
            );
            if let Some(at) = state.timeout() {
                let armed = supervisor.poll_timeout().expect("a timer is armed");
                assert!(armed <= at);
                assert!(
                    at.since(now) <= Duration::from_secs(300),
                    "{process} waits for too long: {state:?}"
                );
            }
            let visible = state
                .visible()
                .filter(|visible| *visible != ProcessState::Pending);
            if let Some(visible) = visible {
                assert_eq!(
                    self.seen.get(process),
                    Some(&visible),
                    "{process} was not reported"
                );
            }
            let waits = state == State::Pending && !self.shut_down;
            assert!(
                !waits || !self.removing(supervisor, now).is_empty(),
                "{process} waits for nothing"
            );
        }
        for (process, _) in &self.live {
            assert!(
                supervisor.processes().any(|(known, _)| known == process),
                "{process} is alive and forgotten"
            );
        }
    }
}

fn event_of(step: Step, world: &mut World, supervisor: &Supervisor, now_ms: &mut u64) -> Option<Event> {
    Some(match step {
        Step::Desire(items) => Event::Desired(items.into_iter().map(item).collect()),
        Step::AnswerSpawn(pick, ok) => {
            let (process, run) = world.asked.remove(pick.checked_rem(world.asked.len())?);
            if ok {
                world.live.push((process.clone(), run));
                Event::Spawned { process, run, pid: 7 }
            } else {
                let permanent = pick.is_multiple_of(3);
                Event::SpawnFailed {
                    process,
                    run,
                    error: "no".to_owned(),
                    permanent,
                }
            }
        }
        Step::Exit(pick, code) => {
            let (process, run) = world.live.remove(pick.checked_rem(world.live.len())?);
            Event::Exited {
                process,
                run,
                exit: Exit::Code(code),
                last_output: None,
            }
        }
        Step::Stray(number, run) => {
            let (process, run) = (process(number), RunId(run));
            if world
                .asked
                .iter()
                .chain(&world.live)
                .any(|(_, known)| *known == run)
            {
                return None;
            }
            Event::Exited {
                process,
                run,
                exit: Exit::Code(1),
                last_output: None,
            }
        }
        Step::Pass(millis) => {
            *now_ms += millis;
            Event::TimerFired
        }
        Step::Timer => {
            *now_ms = supervisor.poll_timeout()?.as_millis().max(*now_ms);
            Event::TimerFired
        }
        Step::Shutdown => {
            world.shut_down = true;
            Event::Shutdown
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_invariants_hold_in_every_history(steps in prop::collection::vec(step(), 1..120), seed in any::<u64>()) {
        let mut supervisor = Supervisor::new(Limits::default(), seed);
        let mut world = World::default();
        let mut now_ms = 0;
        let mut play = |step: Step, world: &mut World| {
            let Some(event) = event_of(step, world, &supervisor, &mut now_ms) else { return };
            let now = Monotonic::from_millis(now_ms);
            supervisor.handle(event, now);
            world.perform(&mut supervisor, now);
            world.check(&supervisor, now);
        };
        for step in steps {
            play(step, &mut world);
        }
        // Whatever went before, a shutdown completes once the operating system has answered and the children ended.
        play(Step::Shutdown, &mut world);
        for _ in 0..10 {
            play(Step::AnswerSpawn(1, true), &mut world);
            play(Step::Timer, &mut world);
            play(Step::Exit(0, 0), &mut world);
        }
        prop_assert!(world.all_stopped);
    }
}
