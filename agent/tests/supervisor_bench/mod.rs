//! A supervisor over real children, for the tests beside this folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use apollo_agent::{
    queue::{NewObservation, SupervisedProcess},
    supervisor::{RunRecordError, RunRecords, Setup, SupervisorHandle},
};
use apollo_wire::{DesiredProcess, DesiredState, ProcessRef, ProcessState, SpecHash};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// How long anything may take before a test gives up on it: generous, since it only costs time when a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Records in memory that outlive a supervisor.
#[derive(Debug, Clone, Default)]
pub struct MemoryRecords(Arc<Mutex<Vec<SupervisedProcess>>>);

impl MemoryRecords {
    pub fn with(record: SupervisedProcess) -> Self {
        Self(Arc::new(Mutex::new(vec![record])))
    }

    pub fn all(&self) -> Vec<SupervisedProcess> {
        self.0.lock().unwrap().clone()
    }
}

impl RunRecords for MemoryRecords {
    fn put_run(&mut self, record: &SupervisedProcess) -> Result<(), RunRecordError> {
        self.delete_run(&record.process)?;
        self.0.lock().unwrap().push(record.clone());
        Ok(())
    }

    fn list_runs(&mut self) -> Result<Vec<SupervisedProcess>, RunRecordError> {
        Ok(self.all())
    }

    fn delete_run(&mut self, process: &ProcessRef) -> Result<(), RunRecordError> {
        self.0.lock().unwrap().retain(|record| record.process != *process);
        Ok(())
    }
}

pub struct Bench {
    pub directory: tempfile::TempDir,
    pub records: MemoryRecords,
    pub supervisor: SupervisorHandle,
    observations: mpsc::Receiver<NewObservation>,
    generation: i64,
}

/// Short waits, so that a test sees several of them.
pub fn quick_setup(directory: &Path) -> Setup {
    let mut setup = Setup::new(directory.to_owned(), 7);
    setup.limits.backoff_initial = Duration::from_millis(20);
    setup.limits.backoff_max = Duration::from_millis(80);
    setup.left_over_grace = Duration::from_millis(300);
    setup
}

impl Bench {
    pub fn new() -> Self {
        Self::over(tempfile::tempdir().unwrap(), MemoryRecords::default())
    }

    pub fn over(directory: tempfile::TempDir, records: MemoryRecords) -> Self {
        let (sender, observations) = mpsc::channel(1);
        let setup = quick_setup(directory.path());
        let supervisor = SupervisorHandle::start(setup, Box::new(records.clone()), sender).unwrap();
        Self {
            directory,
            records,
            supervisor,
            observations,
            generation: 0,
        }
    }

    /// Makes these the desired processes, as a newer generation: name and the spec's fields.
    pub fn desire(&mut self, processes: &[(&str, Value)]) {
        self.generation += 1;
        let generation = self.generation;
        self.supervisor.apply(document(generation, processes));
    }

    /// The next observation.
    pub async fn next(&mut self) -> NewObservation {
        let next = tokio::time::timeout(PATIENCE, self.observations.recv()).await;
        next.expect("an observation in time")
            .expect("the supervisor lives")
    }

    /// The next observation's name, state, reason and exit code, for one comparison.
    pub async fn next_words(&mut self) -> String {
        words(&self.next().await)
    }

    /// Shuts down and returns what was observed until the end.
    pub async fn shut_down(mut self) -> Vec<String> {
        self.supervisor.request_shutdown();
        let mut said = Vec::new();
        while let Some(observed) = tokio::time::timeout(PATIENCE, self.observations.recv())
            .await
            .unwrap()
        {
            said.push(words(&observed));
        }
        self.supervisor.shutdown().await;
        said
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

pub fn words(observed: &NewObservation) -> String {
    let state = observed
        .state
        .map_or_else(String::new, |state: ProcessState| format!("{state:?}"));
    let code = observed
        .exit_code
        .map_or_else(String::new, |code| format!(" {code}"));
    format!("{} {state} {}{code}", observed.process.name(), observed.reason)
}

pub fn document(generation: i64, processes: &[(&str, Value)]) -> DesiredState {
    let item = |(name, fields): &(&str, Value)| {
        let mut spec = json!({"deviceRef": {"name": "bench"}});
        spec.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let canonical = apollo_wire::CanonicalSpec::new(&spec).unwrap();
        DesiredProcess {
            namespace: "default".to_owned(),
            name: (*name).to_owned(),
            generation,
            spec_hash: canonical.hash(),
            spec: serde_json::value::RawValue::from_string(canonical.json().to_owned()).unwrap(),
        }
    };
    DesiredState {
        device: "bench".parse().unwrap(),
        processes: processes.iter().map(item).collect(),
    }
}

/// A spec that runs a shell script once.
pub fn script(text: &str) -> Value {
    json!({"command": ["/bin/sh", "-c", text], "restartPolicy": "Never"})
}

/// A record of a process that is alive now.
pub fn record_of(process: &str, pid: u32, start_ticks: u64) -> SupervisedProcess {
    SupervisedProcess {
        process: process.parse().unwrap(),
        pid,
        pid_start_ticks: start_ticks,
        boot_id: apollo_agent::clock::boot_id(),
        spec_hash: SpecHash([7; 8]),
    }
}

/// When a process started, as the kernel says it.
pub fn start_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')')
        .unwrap()
        .1
        .split_ascii_whitespace()
        .nth(19)
        .unwrap()
        .parse()
        .unwrap()
}

/// Whether a process exists and has not ended.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, fields)| !fields.trim_start().starts_with(['Z', 'X']))
}

/// Waits for a level.
pub async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "not reached in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for a file with a complete line and reads the number in it: how scripts tell a process id.
pub async fn number_in(path: &Path) -> u32 {
    let read = || {
        std::fs::read_to_string(path)
            .ok()
            .filter(|text| text.ends_with('\n'))
    };
    until("a number in a file", || read().is_some()).await;
    read().unwrap().trim().parse().unwrap()
}
