//! A store in memory for the tests of the machines: compare-and-swap, history, a cache that lags, faults on
//! demand.
#![allow(dead_code, reason = "each test file uses the part it needs")]
#![allow(unreachable_pub, reason = "shared by test files as a module")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "names written here are valid, and a failing test should stop"
)]

use std::collections::{BTreeMap, HashSet};

use apollo_gateway_core::{
    exchange::{Concluded, Exchange, Outcome},
    machine::{Machine, Step},
    object::{
        Condition, DesiredPhase, DeviceObject, ProcessObject, ProcessStatus, ResourceVersion, Versioned,
    },
    policy::Policy,
    store::{Freshness, HistoryRow, OnConflict, StoreReply, StoreRequest, WriteOutcome},
};
use apollo_wire::{
    CanonicalSpec, DeviceName, InstanceId, Observation, ProcessRef, ProcessState, Report, Sequence,
    UnixMillis, Verdicts,
};

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The store refuses before it has done anything.
    Unavailable,
    /// The store does it, and the answer is lost.
    LostReply,
    /// Another writer touches every object first, in fields and a condition of its own.
    ForeignWrite,
}

/// The store.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    pub devices: BTreeMap<DeviceName, Versioned<DeviceObject>>,
    pub processes: BTreeMap<ProcessRef, Versioned<ProcessObject>>,
    pub history: BTreeMap<(DeviceName, InstanceId, Sequence), HistoryRow>,
    pub gaps: u32,
    /// What cached reads see, while it is `Some`.
    pub cache: Option<Box<Memory>>,
    pub process_writes: u32,
    pub device_writes: u32,
    pub foreign_writes: u32,
    pub requests: Vec<&'static str>,
    versions: u64,
}

/// A moment long after 1970.
pub const NOW: i64 = 1_800_000_000_000;

pub fn now() -> UnixMillis {
    UnixMillis::saturating(NOW)
}

pub fn device(name: &str) -> DeviceName {
    name.parse().unwrap()
}

pub fn process(name: &str) -> ProcessRef {
    format!("default/{name}").parse().unwrap()
}

pub fn instance(number: u8) -> InstanceId {
    InstanceId::from_bytes([number; 16])
}

pub fn spec(text: &str) -> CanonicalSpec {
    CanonicalSpec::new(&serde_json::json!({ "command": [text] })).unwrap()
}

/// A process object with an empty status at generation 1.
pub fn object(name: &str, bound_to: &str) -> ProcessObject {
    ProcessObject {
        process: process(name),
        device: device(bound_to),
        generation: 1,
        spec: spec("one"),
        wants: DesiredPhase::Running,
        status: ProcessStatus::default(),
    }
}

/// An observation of a running process under the current spec, seen a second ago.
pub fn running(seq: Sequence, name: &str) -> Observation {
    let mut observation = Observation::new(seq, process(name), now().plus(-1000));
    observation.state = Some(ProcessState::Running);
    observation.spec_hash = Some(spec("one").hash());
    observation
}

pub fn report(instance_number: u8, observations: Vec<Observation>) -> Report {
    Report {
        observations,
        ..Report::empty(instance(instance_number), now())
    }
}

impl Memory {
    /// A store with these processes bound to these devices.
    pub fn with(processes: &[(&str, &str)]) -> Self {
        let mut memory = Self::default();
        for (name, bound_to) in processes {
            memory.put(object(name, bound_to));
        }
        memory
    }

    pub fn put(&mut self, object: ProcessObject) {
        let version = self.next_version();
        self.processes
            .insert(object.process.clone(), Versioned { version, object });
    }

    pub fn status(&self, name: &str) -> &ProcessStatus {
        &self.processes[&process(name)].object.status
    }

    pub fn device(&self, name: &str) -> &DeviceObject {
        &self.devices[&device(name)].object
    }

    /// Changes a Device as an operator would.
    pub fn edit_device(&mut self, name: &str, edit: impl FnOnce(&mut DeviceObject)) {
        let version = self.next_version();
        let stored = self.devices.get_mut(&device(name)).unwrap();
        edit(&mut stored.object);
        stored.version = version;
    }

    /// Changes a process as an operator would.
    pub fn edit_process(&mut self, name: &str, edit: impl FnOnce(&mut ProcessObject)) {
        let version = self.next_version();
        let stored = self.processes.get_mut(&process(name)).unwrap();
        edit(&mut stored.object);
        stored.version = version;
    }

    /// From now on cached reads see what is there now.
    pub fn freeze_cache(&mut self) {
        self.cache = None;
        self.cache = Some(Box::new(self.clone()));
    }

    fn next_version(&mut self) -> ResourceVersion {
        self.versions += 1;
        ResourceVersion(self.versions.to_string())
    }

    /// Another controller, once on every process and Device.
    fn foreign_write(&mut self) {
        self.foreign_writes += 1;
        let count = serde_json::json!(self.foreign_writes);
        let names: Vec<ProcessRef> = self.processes.keys().cloned().collect();
        for name in names {
            self.edit_process(name.name(), |object| {
                object.status.foreign.insert("others".into(), count.clone());
                set_foreign_condition(&mut object.status.conditions, &count.to_string());
            });
        }
        let names: Vec<DeviceName> = self.devices.keys().cloned().collect();
        for name in names {
            self.edit_device(name.as_str(), |object| {
                object.status.foreign.insert("others".into(), count.clone());
            });
        }
    }

    pub fn execute_with(&mut self, request: StoreRequest, fault: Fault) -> StoreReply {
        match fault {
            Fault::None => self.execute(request),
            Fault::Unavailable => StoreReply::Unavailable { retry_after: None },
            Fault::LostReply => {
                self.execute(request);
                StoreReply::Unavailable { retry_after: None }
            }
            Fault::ForeignWrite => {
                self.foreign_write();
                self.execute(request)
            }
        }
    }

    pub fn execute(&mut self, request: StoreRequest) -> StoreReply {
        self.requests.push(name_of(&request));
        match request {
            StoreRequest::ReadDevice { device, freshness } => {
                StoreReply::Device(self.view(freshness).devices.get(&device).cloned())
            }
            StoreRequest::ReadProcesses {
                device,
                named,
                freshness,
            } => {
                let named: HashSet<ProcessRef> = named.into_iter().collect();
                let wanted = |read: &&Versioned<ProcessObject>| {
                    read.object.device == device || named.contains(&read.object.process)
                };
                StoreReply::Processes(
                    self.view(freshness)
                        .processes
                        .values()
                        .filter(wanted)
                        .cloned()
                        .collect(),
                )
            }
            StoreRequest::CreateDevice { device, status } => {
                if self.devices.contains_key(&device) {
                    return StoreReply::Written(WriteOutcome::Conflict);
                }
                self.device_writes += 1;
                let version = self.next_version();
                let object = DeviceObject {
                    device: device.clone(),
                    blocked: false,
                    stale_after_ms: None,
                    status: *status,
                };
                self.devices.insert(
                    device,
                    Versioned {
                        version: version.clone(),
                        object,
                    },
                );
                StoreReply::Written(WriteOutcome::Written(version))
            }
            StoreRequest::ReplaceDeviceStatus {
                device,
                expected,
                status,
            } => {
                let version = self.next_version();
                let outcome = match self.devices.get_mut(&device) {
                    None => WriteOutcome::Gone,
                    Some(stored) if stored.version != expected => WriteOutcome::Conflict,
                    Some(stored) => {
                        stored.version = version.clone();
                        stored.object.status = *status;
                        self.device_writes += 1;
                        WriteOutcome::Written(version)
                    }
                };
                StoreReply::Written(outcome)
            }
            StoreRequest::AppendHistory {
                device,
                instance,
                rows,
                gaps,
                on_conflict,
                ..
            } => {
                let of = |row: &HistoryRow| (device.clone(), instance, row.observation.seq);
                let other = |row: &HistoryRow| {
                    self.history
                        .get(&of(row))
                        .is_some_and(|stored| !stored.says_the_same(row))
                };
                if on_conflict == OnConflict::RefuseOther && rows.iter().any(other) {
                    return StoreReply::HistoryDiverged {
                        highest: self.highest(&device, instance),
                    };
                }
                self.gaps += u32::try_from(gaps.len()).unwrap();
                let mut append = |row: HistoryRow| {
                    let key = (device.clone(), instance, row.observation.seq);
                    let new = !self.history.contains_key(&key);
                    self.history.entry(key).or_insert(row);
                    new
                };
                let new = rows.into_iter().map(&mut append).collect();
                StoreReply::HistoryAppended {
                    new,
                    highest: self.highest(&device, instance),
                }
            }
            StoreRequest::ReadSettled {
                device,
                instance,
                sequences,
            } => {
                let known =
                    |sequence: &u64| self.history.contains_key(&(device.clone(), instance, *sequence));
                StoreReply::Settled(sequences.into_iter().filter(known).collect())
            }
            StoreRequest::ReadHighest { device, instance } => {
                StoreReply::Highest(self.highest(&device, instance))
            }
            StoreRequest::ReplaceProcessStatuses { writes } => {
                let outcomes = writes.into_iter().map(|write| {
                    let version = self.next_version();
                    match self.processes.get_mut(&write.process) {
                        None => WriteOutcome::Gone,
                        Some(stored) if stored.version != write.expected => WriteOutcome::Conflict,
                        Some(stored) => {
                            stored.version = version.clone();
                            stored.object.status = write.status;
                            self.process_writes += 1;
                            WriteOutcome::Written(version)
                        }
                    }
                });
                StoreReply::StatusesWritten(outcomes.collect())
            }
        }
    }

    fn view(&self, freshness: Freshness) -> &Self {
        match (freshness, &self.cache) {
            (Freshness::Cached, Some(cache)) => cache,
            _ => self,
        }
    }

    pub fn highest(&self, device: &DeviceName, instance: InstanceId) -> Sequence {
        let of_instance = self
            .history
            .keys()
            .filter(|(of, life, _)| of == device && *life == instance);
        of_instance.map(|(_, _, sequence)| *sequence).max().unwrap_or(0)
    }

    /// Drives a machine to its end without faults. `before` sees each request first.
    pub fn run_with<M: Machine>(
        &mut self,
        mut machine: M,
        mut before: impl FnMut(&mut Self, &StoreRequest),
    ) -> M::Output {
        let mut step = machine.start();
        for _ in 0..1000 {
            step = match step {
                Step::Request(request) => {
                    before(self, &request);
                    let reply = self.execute(request);
                    machine.on_reply(reply)
                }
                Step::Pause(_) => machine.on_pause_over(),
                Step::Done(output) => return output,
            };
        }
        panic!("R-12: the machine did not end within 1000 steps");
    }

    pub fn run<M: Machine>(&mut self, machine: M) -> M::Output {
        self.run_with(machine, |_, _| {})
    }

    /// One report of `name`, received `after_ms` after [`now`].
    pub fn report_at(&mut self, name: &str, mut report: Report, after_ms: i64) -> Concluded {
        report.sent_at = report.sent_at.plus(after_ms);
        let exchange = Exchange::new(device(name), report, now().plus(after_ms), Policy::default(), 7);
        self.run(exchange)
    }

    pub fn report(&mut self, name: &str, report: Report) -> Concluded {
        self.report_at(name, report, 0)
    }
}

/// The verdicts of an outcome that has some.
pub fn verdicts(concluded: &Concluded) -> &Verdicts {
    match &concluded.outcome {
        Outcome::Settled { verdicts, .. } => verdicts,
        other => panic!("not settled: {other:?}"),
    }
}

fn set_foreign_condition(conditions: &mut Vec<Condition>, message: &str) {
    conditions.retain(|condition| condition.kind != "Foreign");
    conditions.insert(
        0,
        Condition {
            kind: "Foreign".into(),
            status: "True".into(),
            reason: "Theirs".into(),
            message: message.into(),
            last_transition_time: None,
            observed_generation: None,
        },
    );
}

fn name_of(request: &StoreRequest) -> &'static str {
    match request {
        StoreRequest::ReadDevice { .. } => "ReadDevice",
        StoreRequest::CreateDevice { .. } => "CreateDevice",
        StoreRequest::ReplaceDeviceStatus { .. } => "ReplaceDeviceStatus",
        StoreRequest::ReadProcesses { .. } => "ReadProcesses",
        StoreRequest::AppendHistory { .. } => "AppendHistory",
        StoreRequest::ReadSettled { .. } => "ReadSettled",
        StoreRequest::ReadHighest { .. } => "ReadHighest",
        StoreRequest::ReplaceProcessStatuses { .. } => "ReplaceProcessStatuses",
    }
}
