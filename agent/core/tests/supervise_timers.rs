//! Many processes share one timer: none of them is forgotten, and none waits longer than its backoff allows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, sync::Arc};

use apollo_agent_core::{
    supervise::{DesiredItem, Effect, Event, Exit, Limits, RunId, Supervisor},
    time::Monotonic,
};
use apollo_wire::{ProcessRef, ProcessSpec, SpecHash};
use proptest::prelude::*;

fn process(number: usize) -> ProcessRef {
    ProcessRef::new("default", &format!("p{number}")).unwrap()
}

fn item(number: usize) -> DesiredItem {
    let spec: ProcessSpec = serde_json::from_str(r#"{"deviceRef":{"name":"d"},"command":["run"]}"#).unwrap();
    DesiredItem {
        process: process(number),
        generation: 1,
        spec_hash: SpecHash([1; 8]),
        spec: Ok(Arc::new(spec)),
    }
}

/// The starts that were asked for, answered at once.
fn answer_starts(supervisor: &mut Supervisor, now: Monotonic) -> Vec<(ProcessRef, RunId)> {
    let mut started = Vec::new();
    while let Some(effect) = supervisor.poll_effect() {
        if let Effect::Spawn { process, run, .. } = effect {
            started.push((process, run));
        }
    }
    for (process, run) in started.clone() {
        let spawned = Event::Spawned { process, run, pid: 7 };
        supervisor.handle(spawned, now);
    }
    while supervisor.poll_effect().is_some() {}
    started
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Processes that crash at their own pace, under a timer that may come late: whoever is due by then starts at that
    /// very tick, however many are due; nobody waits longer than the longest backoff; and over the run each gets its turns.
    #[test]
    fn s10_r11_every_waiting_process_is_started_when_it_is_due(
        count in 1..150_usize, lives_ms in prop::collection::vec(1..30_000_u64, 150), late_ms in 0..20_000_u64,
        seed in any::<u64>(),
    ) {
        let limits = Limits::default();
        let mut supervisor = Supervisor::new(limits, seed);
        let mut now_ms = 0;
        supervisor.handle(Event::Desired((0..count).map(item).collect()), Monotonic::ZERO);
        // When each live run ends, and since when each dead one waits.
        let mut ends: BTreeMap<ProcessRef, (u64, RunId)> = BTreeMap::new();
        let mut waits: BTreeMap<ProcessRef, u64> = BTreeMap::new();
        let mut starts: BTreeMap<ProcessRef, u32> = BTreeMap::new();
        for (process, run) in answer_starts(&mut supervisor, Monotonic::ZERO) {
            let life = lives_ms[ends.len()];
            ends.insert(process, (life, run));
        }
        prop_assert_eq!(ends.len(), count, "all are started at first");
        let longest_ms = u64::try_from(limits.backoff_max.as_millis()).unwrap();
        while now_ms < 10 * longest_ms {
            let next_end = ends.values().map(|(at, _)| *at).min();
            let timer = supervisor.poll_timeout().map(Monotonic::as_millis);
            prop_assert!(timer.is_some() || waits.is_empty(), "{} wait and no timer is armed", waits.len());
            now_ms = next_end.into_iter().chain(timer).min().unwrap().max(now_ms) + late_ms;
            let now = Monotonic::from_millis(now_ms);
            let over: Vec<_> = ends.iter().filter(|(_, (at, _))| *at <= now_ms).map(|(p, _)| p.clone()).collect();
            for process in over {
                let (_, run) = ends.remove(&process).unwrap();
                waits.insert(process.clone(), now_ms);
                let exited = Event::Exited { process, run, exit: Exit::Code(1), last_output: None };
                supervisor.handle(exited, now);
            }
            supervisor.handle(Event::TimerFired, now);
            for (process, run) in answer_starts(&mut supervisor, now) {
                let since = waits.remove(&process).expect("only a process that waits is started");
                prop_assert!(now_ms - since <= longest_ms + late_ms, "{process} waited {} ms", now_ms - since);
                *starts.entry(process.clone()).or_default() += 1;
                let number: usize = process.name()[1..].parse().unwrap();
                ends.insert(process, (now_ms + lives_ms[number], run));
            }
            for (process, state) in supervisor.processes() {
                let due = state.timeout().is_some_and(|at| at <= now);
                prop_assert!(!due, "{process} was due and is left behind: {state:?}");
            }
        }
        // A run lives 30 s and waits 5 min at most, both seen 20 s late at most, so 50 min have room for eight.
        let least = starts.values().min().copied().unwrap_or(0);
        prop_assert!(starts.len() == count && least >= 8, "{least} starts of {} processes", starts.len());
    }
}
