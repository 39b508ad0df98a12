//! The store's twin, with what tests want to know about it and do to it.

use std::collections::BTreeMap;

use apollo_gateway_core::{
    exchange::{Concluded, Exchange},
    machine::{Machine, Step},
    object::{Condition, DeviceObject, ProcessObject, ProcessStatus},
    policy::Policy,
    store::{HistoryRow, StoreReply, StoreRequest, WriteOutcome},
};
use apollo_twins::store::{Objects, Store};
use apollo_wire::{DeviceName, InstanceId, ProcessRef, Report, Sequence};

use super::values::{device, now, object, process};

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
    pub twin: Store,
    /// What cached reads see, while it is `Some`.
    pub cache: Option<Objects>,
    pub process_writes: u32,
    pub device_writes: u32,
    pub foreign_writes: u32,
    pub requests: Vec<&'static str>,
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
        self.twin.objects.put_process(object);
    }

    pub fn status(&self, name: &str) -> &ProcessStatus {
        &self.twin.objects.process(&process(name)).unwrap().object.status
    }

    pub fn device(&self, name: &str) -> &DeviceObject {
        &self.twin.objects.device(&device(name)).unwrap().object
    }

    /// Every row of history by its identity.
    pub fn history(&self) -> BTreeMap<(DeviceName, InstanceId, Sequence), HistoryRow> {
        let rows = self.twin.history.rows();
        rows.map(|(device, instance, entry)| {
            let key = (device.clone(), instance, entry.row.observation.seq);
            (key, entry.row.clone())
        })
        .collect()
    }

    /// Changes a Device as an operator would.
    pub fn edit_device(&mut self, name: &str, edit: impl FnOnce(&mut DeviceObject)) {
        assert!(self.twin.objects.edit_device(&device(name), edit));
    }

    /// Changes a process as an operator would.
    pub fn edit_process(&mut self, name: &str, edit: impl FnOnce(&mut ProcessObject)) {
        assert!(self.twin.objects.edit_process(&process(name), edit));
    }

    /// From now on cached reads see what is there now.
    pub fn freeze_cache(&mut self) {
        self.cache = Some(self.twin.objects.clone());
    }

    /// Another controller, once on every process and Device.
    fn foreign_write(&mut self) {
        self.foreign_writes += 1;
        let count = serde_json::json!(self.foreign_writes);
        let objects = &self.twin.objects;
        let processes: Vec<ProcessRef> = objects
            .processes()
            .map(|read| read.object.process.clone())
            .collect();
        let devices: Vec<DeviceName> = objects.devices().map(|read| read.object.device.clone()).collect();
        for name in processes {
            self.edit_process(name.name(), |object| {
                object.status.foreign.insert("others".into(), count.clone());
                set_foreign_condition(&mut object.status.conditions, &count.to_string());
            });
        }
        for name in devices {
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
        let is_status_of_process = matches!(request, StoreRequest::ReplaceProcessStatuses { .. });
        let reply = match &self.cache {
            Some(cache) => self.twin.execute_with_cache(request, cache),
            None => self.twin.execute(request),
        };
        let outcomes = match &reply {
            StoreReply::StatusesWritten(outcomes) => outcomes.as_slice(),
            StoreReply::Written(outcome) => std::slice::from_ref(outcome),
            _ => &[],
        };
        let written = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, WriteOutcome::Written(_)));
        let writes = u32::try_from(written.count()).unwrap();
        if is_status_of_process {
            self.process_writes += writes;
        } else {
            self.device_writes += writes;
        }
        reply
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
