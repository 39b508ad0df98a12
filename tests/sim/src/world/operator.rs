//! What people and scripts do, and what happens to machines and gateways at once.

use apollo_gateway_core::object::{Condition, DesiredPhase, DeviceObject, ProcessObject};
use apollo_twins::store::ProcessManifest;
use apollo_wire::{CanonicalSpec, DeviceName, ProcessRef, Sequence};

use super::{World, device_name};
use crate::{
    agent::token_of,
    facts::{Fact, Operation, Writer},
    plan::{Action, Restart},
};

/// The condition and the field of the other controller.
const FOREIGN: &str = "Foreign";

impl World {
    pub(super) fn act_once(&mut self, action: Action) {
        match action {
            Action::Observe {
                machine,
                process,
                count,
                age_s,
            } => self.observe(machine, process, count, age_s),
            Action::Apply {
                process,
                device,
                variant,
                restart,
                suspend,
            } => self.apply(process, device, variant, restart, suspend),
            Action::Delete { process } => self.delete(process),
            Action::SetDevice {
                device,
                blocked,
                stale_after_s,
            } => {
                self.context.count("action: set device");
                let device = device_name(device % self.plan.world.devices);
                self.change_device(Writer::Operator, &device, |store| {
                    store.objects.apply_device(
                        &device,
                        blocked,
                        stale_after_s.map(|seconds| seconds * 1_000),
                    );
                });
            }
            Action::DeleteDevice { device } => {
                let device = device_name(device % self.plan.world.devices);
                self.change_device(Writer::Operator, &device, |store| {
                    store.objects.delete_device(&device);
                });
                self.context.count("action: delete device");
            }
            Action::ForeignWrite => {
                self.context.count("action: foreign write");
                let processes: Vec<ProcessRef> = self
                    .store
                    .objects
                    .processes()
                    .map(|read| read.object.process.clone())
                    .collect();
                processes.iter().for_each(|process| self.write_foreign(process));
            }
            Action::SkewGateway { replica, by_s } => {
                self.context.count("action: skew gateway");
                let at = replica % self.replicas.len();
                self.replicas[at].off_by_ms = by_s * 1_000;
            }
            Action::KillGateway { replica, off_ms } => {
                self.context.count("action: kill gateway");
                let at = replica % self.replicas.len();
                self.replicas[at].kill(&mut self.context, off_ms);
            }
            Action::EndWatch { replica } => {
                let at = replica % self.replicas.len();
                self.replicas[at].end_watch(&mut self.context);
            }
            Action::Clone { machine } => {
                if self.machines.len() < crate::plan::MACHINES_MAX {
                    let id = self.machines.len();
                    let copy = self.machines[machine % id].cloned(&mut self.context, id);
                    self.machines.push(copy);
                    self.machines[id].start_agent(&mut self.context);
                }
            }
            action => self.act_on_machine(&action),
        }
    }

    fn act_on_machine(&mut self, action: &Action) {
        let count = self.machines.len();
        let Self {
            machines, context, ..
        } = self;
        match *action {
            Action::Purge { machine } => {
                context.count("action: purge");
                machines[machine % count].by_hand(context, Operation::ByHand, |queue, _| queue.purge());
            }
            Action::Requeue { machine } => {
                let machine = &mut machines[machine % count];
                let dead: Vec<Sequence> = machine
                    .queue
                    .dead_letters()
                    .map(|letter| letter.observation.seq)
                    .collect();
                if !dead.is_empty() {
                    context.count("action: requeue");
                    machine.by_hand(context, Operation::ByHand, |queue, _| queue.requeue(&dead));
                }
            }
            Action::DamageRow { machine, row } => {
                let machine = &mut machines[machine % count];
                let pending: Vec<Sequence> = machine.queue.observations().map(|row| row.seq).collect();
                if let Some(sequence) = pending.get(row % pending.len().max(1)) {
                    context.count("action: damage row");
                    machine.queue.damage(*sequence);
                }
            }
            Action::TakeImage { machine } => machines[machine % count].take_image(),
            Action::RollBack { machine, off_ms } => machines[machine % count].roll_back(context, off_ms),
            Action::KillAgent { machine, off_ms } => {
                context.count("action: kill agent");
                machines[machine % count].kill_agent(context, off_ms);
            }
            Action::StopAgent { machine, off_ms } => {
                context.count("action: stop agent");
                machines[machine % count].stop_agent(context, off_ms);
            }
            Action::CutPower {
                machine,
                off_ms,
                clock_lost,
            } => {
                context.count("action: cut power");
                machines[machine % count].cut_power(context, off_ms, clock_lost);
            }
            Action::SwitchOff { machine } => {
                context.count("action: switch off");
                let machine = &mut machines[machine % count];
                machine.cut_power(context, 0, false);
                machine.is_gone = true;
            }
            Action::StepClock {
                machine,
                by_s,
                synced,
            } => {
                context.count("action: step clock");
                machines[machine % count].clock.step(by_s * 1_000, synced);
            }
            _ => {}
        }
    }

    fn observe(&mut self, machine: usize, process: usize, count: usize, age_s: i64) {
        let process = self.process_name(process);
        let at = machine % self.machines.len();
        let Self {
            machines, context, ..
        } = self;
        let machine = &mut machines[at];
        let mut observations = Vec::new();
        for number in 0..count {
            let mut observation = machine.new_observation(context, process.clone());
            observation.observed_at = observation.observed_at.plus(-age_s * 1_000);
            // Without a state it is history only.
            observation.state = (number % 3 != 2).then_some(apollo_wire::ProcessState::Running);
            context.remember(token_of(&observation), &observation);
            observations.push(observation);
        }
        let stored = machine.by_hand(context, Operation::Append, |queue, boot| {
            queue.append(boot, observations)
        });
        if stored.is_some() {
            context.count("action: observe");
        }
    }

    fn apply(&mut self, process: usize, device: usize, variant: u32, restart: Restart, suspend: bool) {
        self.context.count("action: apply");
        let device = device_name(device % self.plan.world.devices);
        let manifest = manifest(self.process_name(process), device, variant, restart, suspend);
        let process = manifest.process.clone();
        self.change_process(Writer::Operator, &process, |store| {
            store.objects.apply_process(manifest);
        });
    }

    fn delete(&mut self, process: usize) {
        self.context.count("action: delete");
        let process = self.process_name(process);
        self.change_process(Writer::Operator, &process, |store| {
            store.objects.delete_process(&process);
        });
    }

    pub(super) fn unblock_all(&mut self) {
        let blocked: Vec<DeviceObject> = self
            .store
            .objects
            .devices()
            .map(|read| read.object.clone())
            .filter(|device| device.blocked)
            .collect();
        for device in blocked {
            self.change_device(Writer::Operator, &device.device, |store| {
                store
                    .objects
                    .apply_device(&device.device, false, device.stale_after_ms);
            });
        }
        if self.plan.world.manual_registration {
            for number in 0..self.plan.world.devices {
                let device = device_name(number);
                let stale = self
                    .store
                    .objects
                    .device(&device)
                    .and_then(|found| found.object.stale_after_ms);
                self.change_device(Writer::Operator, &device, |store| {
                    store.objects.apply_device(&device, false, stale);
                });
            }
        }
        for replica in &mut self.replicas {
            replica.store_changed(&mut self.context);
        }
    }

    /// Another controller writes its field and its condition into one status.
    pub(super) fn write_foreign(&mut self, process: &ProcessRef) {
        let now = self.context.now;
        self.change_process(Writer::Foreign, process, |store| {
            store.objects.edit_process(process, |object| touch(object, now));
        });
    }

    fn process_name(&self, number: usize) -> ProcessRef {
        process_name(number % self.plan.world.processes)
    }

    /// Changes a DeviceProcess; the checkers are told.
    fn change_process(
        &mut self,
        by: Writer,
        process: &ProcessRef,
        change: impl FnOnce(&mut apollo_twins::store::Store),
    ) {
        let of = |store: &apollo_twins::store::Store| {
            store
                .objects
                .process(process)
                .map(|read| Box::new(read.object.clone()))
        };
        let before = of(&self.store);
        change(&mut self.store);
        let after = of(&self.store);
        if before != after {
            self.context.fact(Fact::ProcessChanged { by, before, after });
        }
    }

    /// Changes a Device; the checkers are told.
    fn change_device(
        &mut self,
        by: Writer,
        device: &DeviceName,
        change: impl FnOnce(&mut apollo_twins::store::Store),
    ) {
        let of = |store: &apollo_twins::store::Store| {
            store
                .objects
                .device(device)
                .map(|read| Box::new(read.object.clone()))
        };
        let before = of(&self.store);
        change(&mut self.store);
        let after = of(&self.store);
        if before != after {
            self.context.fact(Fact::DeviceChanged { by, before, after });
        }
    }
}

fn touch(object: &mut ProcessObject, now: u64) {
    let count = serde_json::json!(now);
    object.status.foreign.insert("others".to_owned(), count);
    object
        .status
        .conditions
        .retain(|condition| condition.kind != FOREIGN);
    object.status.conditions.insert(
        0,
        Condition {
            kind: FOREIGN.to_owned(),
            status: "True".to_owned(),
            reason: "Theirs".to_owned(),
            message: now.to_string(),
            last_transition_time: None,
            observed_generation: None,
        },
    );
}

/// A spec as an operator writes it.
fn manifest(
    process: ProcessRef,
    device: DeviceName,
    variant: u32,
    restart: Restart,
    suspend: bool,
) -> ProcessManifest {
    let spec = serde_json::json!({
        "deviceRef": {"name": device.as_str()},
        "command": ["/usr/bin/collector"],
        "args": [variant.to_string()],
        "restartPolicy": format!("{restart:?}"),
        "suspend": suspend,
    });
    let wants = match (suspend, restart) {
        (true, _) => DesiredPhase::Stopped,
        (false, Restart::Always) => DesiredPhase::Running,
        (false, Restart::OnFailure | Restart::Never) => DesiredPhase::RunningOrSucceeded,
    };
    #[expect(clippy::expect_used, reason = "a small JSON object")]
    let spec = CanonicalSpec::new(&spec).expect("canonical");
    ProcessManifest {
        process,
        device,
        spec,
        wants,
    }
}

/// The name of a DeviceProcess by its number.
#[expect(clippy::expect_used, reason = "made of letters and digits")]
fn process_name(number: usize) -> ProcessRef {
    ProcessRef::new("default", &format!("p{number}")).expect("a name")
}
