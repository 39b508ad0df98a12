//! The store of all replicas, with its faults, and what the checkers are told of each step.

use apollo_gateway_core::{
    join::{StateSource, StatusJoin},
    object::{DeviceObject, DeviceState, ProcessObject, Versioned},
    store::{StatusWrite, StoreReply, StoreRequest, WriteOutcome},
    writes::{Current, ObjectKey, Request, SendResult, StatusChange},
};
use apollo_wire::{DeviceName, ProcessRef, UnixMillis};
use rand::Rng;

use super::{Event, Life, WorkId, World, device_name};
use crate::{
    agent::token_of,
    facts::{AppendedRow, Fact, ReplicaId, Writer},
    plan::{Disturbance, Millis, StoreFault},
};

/// How long a good store takes to answer, milliseconds.
const GOOD_MS: std::ops::Range<Millis> = 1..15;
/// How long a slow one may take: longer than an exchange has.
const SLOW_MS: std::ops::Range<Millis> = 500..20_000;

/// What a request may change, as it was before.
#[derive(Default)]
struct Before {
    device: Option<(DeviceName, Option<Versioned<DeviceObject>>)>,
    processes: Vec<(ProcessRef, Option<Versioned<ProcessObject>>)>,
}

impl World {
    /// Carries out a request of a replica, with what goes wrong with it.
    pub(super) fn execute(&mut self, life: Life, work: WorkId, by: &Writer, request: StoreRequest) {
        let (Writer::Exchange(replica, _) | Writer::Reconcile(replica, _)) = *by else {
            return;
        };
        let fault = self.draw_fault(replica);
        // A request that has left its gateway arrives, whether or not the gateway still lives.
        let lives = self.replicas.get(replica).is_some_and(|found| found.life == life);
        let reply = match fault {
            Some(StoreFault::Unavailable) => {
                self.context.count("store: unavailable");
                StoreReply::Unavailable { retry_after: None }
            }
            Some(StoreFault::TooMany) => StoreReply::Unavailable {
                retry_after: self.too_many().map(std::time::Duration::from_millis),
            },
            Some(StoreFault::LostReply) => {
                self.context.count("store: reply lost");
                self.step(replica, work, request, by);
                StoreReply::Unavailable { retry_after: None }
            }
            fault => {
                if fault == Some(StoreFault::Conflict) {
                    self.come_first(&request);
                }
                self.step(replica, work, request, by)
            }
        };
        let takes_ms = self.takes_ms(fault);
        if lives {
            self.context
                .schedule(takes_ms, Event::Answered(replica, life, work, reply));
        }
    }

    /// Carries out a request of a replica's queue of writes, with what goes wrong with it.
    pub(super) fn patch(&mut self, replica: ReplicaId, life: Life, by: &Writer, request: Request) {
        let fault = self.draw_fault(replica);
        let lives = self.replicas.get(replica).is_some_and(|found| found.life == life);
        let unavailable = SendResult::Unavailable { retry_after_ms: None };
        let asked = replacement(&request);
        let result = match fault {
            Some(StoreFault::Unavailable) => {
                self.context.count("store: unavailable");
                unavailable
            }
            Some(StoreFault::TooMany) => SendResult::TooManyRequests {
                retry_after_ms: self.too_many(),
            },
            Some(StoreFault::LostReply) => {
                self.context.count("store: reply lost");
                self.step(replica, 0, asked, by);
                unavailable
            }
            fault => {
                if fault == Some(StoreFault::Conflict) {
                    self.come_first(&asked);
                }
                outcome_of(self.step(replica, 0, asked, by))
            }
        };
        let written = match (&result, &request.key) {
            (SendResult::Written(_), ObjectKey::Device(device)) => {
                self.store.objects.device(device).cloned().map(Current::Device)
            }
            (SendResult::Written(_), ObjectKey::Process(process)) => {
                self.store.objects.process(process).cloned().map(Current::Process)
            }
            _ => None,
        };
        let takes_ms = self.takes_ms(fault);
        if lives {
            let patched = Event::Patched(replica, life, request.key, result, written.map(Box::new));
            self.context.schedule(takes_ms, patched);
        }
    }

    fn takes_ms(&mut self, fault: Option<StoreFault>) -> Millis {
        if fault == Some(StoreFault::Slow) {
            self.context.count("store: slow");
            self.context.chance.store.random_range(SLOW_MS)
        } else {
            self.context.chance.store.random_range(GOOD_MS)
        }
    }

    /// The store says 429: its `Retry-After`, if it says one.
    fn too_many(&mut self) -> Option<Millis> {
        self.context.count("store: too many requests");
        let seconds = [0, 1, 1, 5, 60][self.context.chance.store.random_range(0..5)];
        (seconds > 0).then_some(seconds * 1_000)
    }

    fn draw_fault(&mut self, of: ReplicaId) -> Option<StoreFault> {
        let super::Context {
            disturbances, chance, ..
        } = &mut self.context;
        disturbances.values().find_map(|disturbance| match disturbance {
            Disturbance::Store {
                replica,
                fault,
                percent,
            } if replica.is_none_or(|replica| replica == of)
                && chance.store.random_ratio(u32::from(*percent).min(100), 100) =>
            {
                Some(*fault)
            }
            _ => None,
        })
    }

    /// Another writer changes what this request is about to change.
    fn come_first(&mut self, request: &StoreRequest) {
        if let StoreRequest::ReplaceProcessStatuses { writes, .. } = request {
            self.context.count("store: conflict with another writer");
            let processes: Vec<ProcessRef> = writes.iter().map(|write| write.process.clone()).collect();
            processes.iter().for_each(|process| self.write_foreign(process));
        }
    }

    /// One atomic step; the checkers are told what it changed.
    fn step(&mut self, replica: ReplicaId, work: WorkId, request: StoreRequest, by: &Writer) -> StoreReply {
        let request = self.sabotage.bend(&mut self.store, request);
        let before = self.before(&request);
        let appended = appended(&request);
        let asked = is_write(&request).then(|| format!("{request:?}"));
        let cache = self.replicas.get(replica).and_then(|found| found.cache());
        let reply = match cache {
            Some(cache) => self.store.execute_with_cache(request, cache),
            None => self.store.execute(request),
        };
        if let (Some(mut fact), StoreReply::HistoryAppended { new, .. }) = (appended, &reply) {
            if let Fact::Appended { exchange, rows, .. } = &mut fact {
                *exchange = work;
                for (row, is_new) in rows.iter_mut().zip(new) {
                    row.is_new = *is_new;
                }
            }
            self.context.fact(fact);
        }
        if let Some(asked) = asked {
            self.context.note(|| {
                let asked: String = asked.chars().take(300).collect();
                format!("store: gateway {replica}, work {work}: {asked} -> {reply:?}")
            });
        }
        if self.tell(by, before) {
            for replica in &mut self.replicas {
                replica.store_changed(&mut self.context);
            }
        }
        reply
    }

    fn before(&self, request: &StoreRequest) -> Before {
        let device_of = |device: &DeviceName| {
            let found = self.store.objects.device(device);
            Some((device.clone(), found.cloned()))
        };
        match request {
            StoreRequest::CreateDevice { device, .. } | StoreRequest::ReplaceDeviceStatus { device, .. } => {
                Before {
                    device: device_of(device),
                    ..Before::default()
                }
            }
            StoreRequest::ReplaceProcessStatuses { writes, .. } => Before {
                processes: writes
                    .iter()
                    .map(|write| {
                        let found = self.store.objects.process(&write.process);
                        (write.process.clone(), found.cloned())
                    })
                    .collect(),
                ..Before::default()
            },
            _ => Before::default(),
        }
    }

    /// Tells of every object whose version has changed; also a write that changed nothing else is a change.
    fn tell(&mut self, by: &Writer, before: Before) -> bool {
        let mut any = false;
        if let Some((device, before)) = before.device {
            let after = self.store.objects.device(&device).cloned();
            if before != after {
                any = true;
                let (by, before, after) = (by.clone(), object(before), object(after));
                self.context.fact(Fact::DeviceChanged { by, before, after });
            }
        }
        for (process, before) in before.processes {
            let after = self.store.objects.process(&process).cloned();
            if before != after {
                any = true;
                let (by, before, after) = (by.clone(), object(before), object(after));
                self.context.fact(Fact::ProcessChanged { by, before, after });
            }
        }
        any
    }
}

/// A request of a queue of writes as the store's own.
fn replacement(request: &Request) -> StoreRequest {
    let expected = request.expected.clone();
    match (&request.key, &request.change) {
        (ObjectKey::Process(process), StatusChange::Process { to, .. }) => {
            StoreRequest::ReplaceProcessStatuses {
                // The queue has looked at who may write; the store does not.
                device: to.observed_device.clone().unwrap_or_else(|| device_name(0)),
                writes: vec![StatusWrite {
                    process: process.clone(),
                    expected,
                    status: (**to).clone(),
                    // Nobody folds this any further.
                    join: StatusJoin {
                        candidate: None,
                        device_state: DeviceState::Unknown,
                        state_from: StateSource::DeviceObject,
                        now: UnixMillis::default(),
                    },
                }],
            }
        }
        (ObjectKey::Device(device), StatusChange::Device { to, .. }) => StoreRequest::ReplaceDeviceStatus {
            device: device.clone(),
            expected,
            status: to.clone(),
        },
        (key, _) => unreachable!("a change of another kind for {key:?}"),
    }
}

fn outcome_of(reply: StoreReply) -> SendResult {
    let outcome = match reply {
        StoreReply::Written(outcome) => Some(outcome),
        StoreReply::StatusesWritten(outcomes) => outcomes.into_iter().next(),
        _ => None,
    };
    match outcome {
        Some(WriteOutcome::Written(version)) => SendResult::Written(version),
        Some(WriteOutcome::Conflict) => SendResult::Conflict,
        Some(WriteOutcome::Gone) => SendResult::Gone,
        None => SendResult::Unavailable { retry_after_ms: None },
    }
}

fn is_write(request: &StoreRequest) -> bool {
    matches!(
        request,
        StoreRequest::CreateDevice { .. }
            | StoreRequest::ReplaceDeviceStatus { .. }
            | StoreRequest::ReplaceProcessStatuses { .. }
            | StoreRequest::AppendHistory { .. }
    )
}

fn object<T>(found: Option<Versioned<T>>) -> Option<Box<T>> {
    found.map(|found| Box::new(found.object))
}

/// An append as it will be told, once it is known by which exchange and which rows were new.
fn appended(request: &StoreRequest) -> Option<Fact> {
    let StoreRequest::AppendHistory {
        device,
        instance,
        epoch,
        rows,
        gaps,
        ..
    } = request
    else {
        return None;
    };
    let rows: Vec<AppendedRow> = rows
        .iter()
        .map(|row| AppendedRow {
            sequence: row.observation.seq,
            token: token_of(&row.observation),
            process: row.observation.process.clone(),
            state: row.observation.state,
            orphaned: row.orphaned,
            is_new: false,
        })
        .collect();
    Some(Fact::Appended {
        exchange: 0,
        device: device.clone(),
        instance: *instance,
        epoch: *epoch,
        rows,
        gaps: gaps.clone(),
    })
}
