//! Bringing the processes of one device in line with its state, whoever last wrote what.
//!
//! The state lives on the Device, `AgentConnected` on its processes, and no write covers both. So this is
//! level-based: it compares and repairs, and after a crash between the two the next look finishes the work.
//! Nothing to repair is nothing written.

use apollo_wire::{DeviceName, UnixMillis};

use crate::{
    exchange::WriteTally,
    join::{StateSource, StatusJoin, join_process},
    machine::{Machine, Retries, Step},
    object::{DeviceState, ProcessObject, ProcessStatus, Versioned},
    policy::Policy,
    store::{Freshness, StatusWrite, StoreReply, StoreRequest, WriteOutcome},
    tracker::{Marking, Task},
};

/// The status a process should have by the state of its device and its own spec; `None` if it has it.
pub fn repaired(
    process: &ProcessObject,
    device_state: DeviceState,
    now: UnixMillis,
) -> Option<ProcessStatus> {
    join_process(process, None, device_state, now)
}

/// What a reconciliation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Reconciled {
    /// Writes of the Device's state.
    pub device_writes: WriteTally,
    /// Writes of its processes' conditions.
    pub process_writes: WriteTally,
    /// Everything is as it should be. If not, [`crate::tracker::Tracker::reconciled`] has it tried again.
    pub complete: bool,
}

/// Marks a device (if the task says so) and repairs its processes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reconcile {
    device: DeviceName,
    marking: Option<Marking>,
    now: UnixMillis,
    retries: Retries,
    freshness: Freshness,
    awaiting: Awaiting,
    state: DeviceState,
    done: Reconciled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Awaiting {
    Marking,
    Device,
    Processes,
    Statuses { writes: u32 },
    Pause,
}

impl Reconcile {
    /// For a task of the tracker. `now` is the gateway's wall clock, for transition times.
    pub fn new(task: Task, now: UnixMillis, policy: &Policy, jitter_seed: u64) -> Self {
        Self {
            device: task.device,
            marking: task.marking,
            now,
            retries: Retries::new(policy, jitter_seed),
            freshness: Freshness::Cached,
            awaiting: Awaiting::Device,
            state: DeviceState::Unknown,
            done: Reconciled::default(),
        }
    }

    fn read_device(&mut self) -> Step<Reconciled> {
        self.awaiting = Awaiting::Device;
        Step::Request(StoreRequest::ReadDevice {
            device: self.device.clone(),
            freshness: self.freshness,
        })
    }

    fn read_processes(&mut self) -> Step<Reconciled> {
        self.awaiting = Awaiting::Processes;
        Step::Request(StoreRequest::ReadProcesses {
            device: self.device.clone(),
            named: Vec::new(),
            freshness: self.freshness,
        })
    }

    /// The Device is read again before its processes are told: a report may have brought it back at once, and they would
    /// go down and up again. A lost race for it is no failure: somebody knew better, and what they wrote comes back by
    /// the watch.
    fn on_marked(&mut self, outcome: &WriteOutcome) -> Step<Reconciled> {
        self.done.device_writes.count(outcome);
        match outcome {
            WriteOutcome::Written(_) => {
                self.freshness = Freshness::Authoritative;
                self.read_device()
            }
            WriteOutcome::Conflict | WriteOutcome::Gone => Step::Done(self.done),
        }
    }

    fn on_processes(&mut self, processes: &[Versioned<ProcessObject>]) -> Step<Reconciled> {
        let write = |read: &Versioned<ProcessObject>| {
            let join = StatusJoin {
                candidate: None,
                device_state: self.state,
                state_from: StateSource::DeviceObject,
                now: self.now,
            };
            Some(StatusWrite {
                process: read.object.process.clone(),
                expected: read.version.clone(),
                status: join.onto(&read.object)?,
                join,
            })
        };
        let own = processes.iter().filter(|read| read.object.device == self.device);
        let writes: Vec<StatusWrite> = own.filter_map(write).collect();
        if writes.is_empty() {
            self.done.complete = true;
            return Step::Done(self.done);
        }
        self.awaiting = Awaiting::Statuses {
            writes: count(writes.len()),
        };
        Step::Request(StoreRequest::ReplaceProcessStatuses {
            device: self.device.clone(),
            writes,
        })
    }

    fn on_statuses(&mut self, writes: u32, outcomes: &[WriteOutcome]) -> Step<Reconciled> {
        for outcome in outcomes {
            self.done.process_writes.count(outcome);
        }
        if count(outcomes.len()) >= writes && !outcomes.contains(&WriteOutcome::Conflict) {
            self.done.complete = true;
            return Step::Done(self.done);
        }
        let Some(pause) = self.retries.next_pause() else {
            return Step::Done(self.done);
        };
        self.awaiting = Awaiting::Pause;
        Step::Pause(pause)
    }
}

impl Machine for Reconcile {
    type Output = Reconciled;

    fn start(&mut self) -> Step<Reconciled> {
        let Some(marking) = self.marking.take() else {
            return self.read_device();
        };
        self.awaiting = Awaiting::Marking;
        Step::Request(StoreRequest::ReplaceDeviceStatus {
            device: self.device.clone(),
            expected: marking.expected,
            status: Box::new(marking.status),
        })
    }

    fn on_reply(&mut self, reply: StoreReply) -> Step<Reconciled> {
        match (self.awaiting, reply) {
            (Awaiting::Marking, StoreReply::Written(outcome)) => self.on_marked(&outcome),
            (Awaiting::Device, StoreReply::Device(found)) => {
                self.state = found.map_or(DeviceState::Unknown, |found| found.object.status.state);
                self.read_processes()
            }
            (Awaiting::Processes, StoreReply::Processes(processes)) => self.on_processes(&processes),
            (Awaiting::Statuses { writes }, StoreReply::StatusesWritten(outcomes)) => {
                self.on_statuses(writes, &outcomes)
            }
            (awaiting, _) => {
                match awaiting {
                    Awaiting::Marking => self.done.device_writes.error += 1,
                    Awaiting::Statuses { writes } => self.done.process_writes.error += writes,
                    _ => {}
                }
                Step::Done(self.done)
            }
        }
    }

    /// After a conflict both are read again: the device may have come back meanwhile.
    fn on_pause_over(&mut self) -> Step<Reconciled> {
        self.freshness = Freshness::Authoritative;
        self.read_device()
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
