//! What the histories are written with: a supervisor under a clock that is set by hand, and its effects as text.

use std::{sync::Arc, time::Duration};

use apollo_agent_core::{
    supervise::{DesiredItem, Effect, Event, Exit, Limits, Observed, RunId, StopSignal, Supervisor},
    time::Monotonic,
};
use apollo_wire::{ProcessRef, ProcessSpec, SpecHash};

/// A supervisor, a clock and a way to read what it does.
pub(crate) struct Bench {
    pub(crate) supervisor: Supervisor,
    pub(crate) now_ms: u64,
}

pub(crate) fn process(name: &str) -> ProcessRef {
    ProcessRef::new("default", name).unwrap()
}

pub(crate) fn item(
    name: &str,
    generation: i64,
    hash: u8,
    change: impl FnOnce(&mut ProcessSpec),
) -> DesiredItem {
    let json = r#"{"deviceRef":{"name":"d"},"command":["run"]}"#;
    let mut spec = serde_json::from_str(json).unwrap();
    change(&mut spec);
    DesiredItem {
        process: process(name),
        generation,
        spec_hash: SpecHash([hash; 8]),
        spec: Ok(Arc::new(spec)),
    }
}

pub(crate) fn simple(name: &str) -> DesiredItem {
    item(name, 1, 1, |_| {})
}

fn written(effect: Effect) -> String {
    match effect {
        Effect::Spawn { process, run, .. } => format!("spawn {} #{}", process.name(), run.0),
        Effect::Signal {
            process,
            signal: StopSignal::Term,
            ..
        } => format!("term {}", process.name()),
        Effect::Signal {
            process,
            signal: StopSignal::Kill,
            ..
        } => format!("kill {}", process.name()),
        Effect::Observe(observed) => {
            let Observed {
                process,
                state,
                spec_hash,
                exit_code,
                restarts,
                reason,
                message,
                ..
            } = observed;
            let state = state.map_or_else(|| "-".to_owned(), |state| format!("{state:?}"));
            let mut text = format!("{} {state} {}", process.name(), reason.as_str());
            text.push_str(&format!(" spec={}", spec_hash.map_or(0, |hash| hash.0[0])));
            if let Some(code) = exit_code {
                text.push_str(&format!(" exit={code}"));
            }
            if let Some(restarts) = restarts.filter(|restarts| *restarts > 0) {
                text.push_str(&format!(" restarts={restarts}"));
            }
            if !message.is_empty() {
                text.push_str(&format!(" {message:?}"));
            }
            text
        }
        Effect::Forget(process) => format!("forget {}", process.name()),
        Effect::LeftOut(count) => format!("left out {count}"),
        Effect::AllStopped => "all stopped".to_owned(),
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self {
            supervisor: Supervisor::new(limits, 7),
            now_ms: 0,
        }
    }

    pub(crate) fn handle(&mut self, event: Event) -> Vec<String> {
        self.supervisor.handle(event, Monotonic::from_millis(self.now_ms));
        std::iter::from_fn(|| self.supervisor.poll_effect())
            .map(written)
            .collect()
    }

    pub(crate) fn desire(&mut self, items: impl Into<Vec<DesiredItem>>) -> Vec<String> {
        self.handle(Event::Desired(items.into()))
    }

    pub(crate) fn spawned(&mut self, name: &str, run: u64) -> Vec<String> {
        self.handle(Event::Spawned {
            process: process(name),
            run: RunId(run),
            pid: 100,
        })
    }

    pub(crate) fn exited(&mut self, name: &str, run: u64, exit: Exit) -> Vec<String> {
        let last_output = Some("last words".to_owned());
        self.handle(Event::Exited {
            process: process(name),
            run: RunId(run),
            exit,
            last_output,
        })
    }

    pub(crate) fn failed_to_spawn(&mut self, name: &str, run: u64, permanent: bool) -> Vec<String> {
        let error = "no such file".to_owned();
        self.handle(Event::SpawnFailed {
            process: process(name),
            run: RunId(run),
            error,
            permanent,
        })
    }

    /// Goes to the moment the supervisor asked for, which must exist; says how long that took.
    pub(crate) fn wait(&mut self) -> (Duration, Vec<String>) {
        let at = self.supervisor.poll_timeout().expect("a timer is armed");
        let waited = at.since(Monotonic::from_millis(self.now_ms));
        self.now_ms = at.as_millis();
        (waited, self.handle(Event::TimerFired))
    }

    /// With these processes running, numbered in the order of their names.
    pub(crate) fn running(items: impl Into<Vec<DesiredItem>>) -> Self {
        let mut bench = Self::new();
        let items = items.into();
        let mut names: Vec<String> = items.iter().map(|item| item.process.name().to_owned()).collect();
        names.sort();
        bench.desire(items);
        for (index, name) in names.iter().enumerate() {
            bench.spawned(name, index as u64 + 1);
        }
        bench
    }
}
