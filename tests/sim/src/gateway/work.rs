//! Machines of the core at work: each request goes to the store and comes back later.

use apollo_gateway_core::{
    exchange::{Concluded, Exchange, Outcome},
    machine::{Machine, Step},
    reconcile::{Reconcile, Reconciled},
    store::{StoreReply, StoreRequest},
};
use apollo_wire::{DeviceName, InstanceId};
use rand::Rng;

use super::{Replica, writes};
use crate::{
    facts::{Fact, Writer},
    network::Message,
    plan::Millis,
    world::{Context, Event, WorkId},
};

/// How long a good store takes to receive a request, milliseconds; as long for its answer.
const GOOD_MS: std::ops::Range<Millis> = 1..15;

/// One machine at work.
pub(super) struct Work {
    machine: Kind,
    device: DeviceName,
    requests: u32,
    writes: u32,
}

enum Kind {
    Exchange {
        machine: Box<Exchange>,
        instance: InstanceId,
        answer_to: Message,
    },
    Reconcile(Box<Reconcile>),
}

/// What a machine wants next, whichever it is.
enum Next {
    Request(StoreRequest),
    Pause(Millis),
    Concluded(Concluded),
    Reconciled(Reconciled),
}

impl Work {
    pub(super) fn exchange(
        machine: Exchange,
        device: DeviceName,
        instance: InstanceId,
        answer_to: Message,
    ) -> Self {
        Self {
            machine: Kind::Exchange {
                machine: Box::new(machine),
                instance,
                answer_to,
            },
            device,
            requests: 0,
            writes: 0,
        }
    }

    pub(super) fn reconcile(machine: Reconcile, device: DeviceName) -> Self {
        Self {
            machine: Kind::Reconcile(Box::new(machine)),
            device,
            requests: 0,
            writes: 0,
        }
    }

    fn step(&mut self, input: Input) -> Next {
        match &mut self.machine {
            Kind::Exchange { machine, .. } => next(drive(machine.as_mut(), input), Next::Concluded),
            Kind::Reconcile(machine) => next(drive(machine.as_mut(), input), Next::Reconciled),
        }
    }
}

/// What a machine is told.
enum Input {
    Start,
    Reply(Box<StoreReply>),
    PauseOver,
}

fn drive<M: Machine>(machine: &mut M, input: Input) -> Step<M::Output> {
    match input {
        Input::Start => machine.start(),
        Input::Reply(reply) => machine.on_reply(*reply),
        Input::PauseOver => machine.on_pause_over(),
    }
}

fn next<T>(step: Step<T>, done: impl FnOnce(T) -> Next) -> Next {
    match step {
        Step::Request(request) => Next::Request(request),
        Step::Pause(pause) => Next::Pause(Millis::try_from(pause.as_millis()).unwrap_or(Millis::MAX)),
        Step::Done(output) => done(output),
    }
}

impl Replica {
    pub(super) fn begin(&mut self, context: &mut Context, id: WorkId, work: Work) {
        self.work.insert(id, work);
        self.advance(context, id, Input::Start);
    }

    /// The store's answer has arrived.
    pub fn on_reply(&mut self, context: &mut Context, id: WorkId, reply: StoreReply) {
        if let Some(writes) = &mut self.writes {
            writes.learn(&reply);
        }
        self.advance(context, id, Input::Reply(Box::new(reply)));
    }

    /// A pause is over.
    pub fn on_pause_over(&mut self, context: &mut Context, id: WorkId) {
        self.advance(context, id, Input::PauseOver);
    }

    fn advance(&mut self, context: &mut Context, id: WorkId, input: Input) {
        let Some(work) = self.work.get_mut(&id) else {
            return;
        };
        let writer = match work.machine {
            Kind::Exchange { .. } => Writer::Exchange(self.id, work.device.clone()),
            Kind::Reconcile(_) => Writer::Reconcile(self.id, work.device.clone()),
        };
        match work.step(input) {
            Next::Request(request) => {
                work.requests += 1;
                work.writes += u32::from(matches!(
                    request,
                    StoreRequest::ReplaceProcessStatuses { .. } | StoreRequest::ReplaceDeviceStatus { .. }
                ));
                if self.sabotage.answers_before_commit(&request) && self.answer_early(context, id, &request) {
                    return;
                }
                if self.writes.is_some() && writes::is_queued(&request) {
                    return self.enqueue(context, id, &writer, request);
                }
                let takes_ms = context.chance.store.random_range(GOOD_MS);
                context.schedule(takes_ms, Event::Execute(self.life, id, writer, request));
            }
            Next::Pause(pause_ms) => {
                context.schedule(pause_ms, Event::PauseOver(self.id, self.life, id));
            }
            Next::Concluded(concluded) => self.conclude(context, id, concluded),
            Next::Reconciled(done) => {
                if let Some(work) = self.remove(context, id) {
                    self.on_reconciled(context, &work.device, &done);
                }
            }
        }
    }

    fn conclude(&mut self, context: &mut Context, id: WorkId, concluded: Concluded) {
        let Some(work) = self.remove(context, id) else {
            return;
        };
        if let Kind::Exchange {
            instance, answer_to, ..
        } = work.machine
        {
            self.on_concluded(context, id, &answer_to, &work.device, instance, concluded);
        }
    }

    fn remove(&mut self, context: &mut Context, id: WorkId) -> Option<Work> {
        let work = self.work.remove(&id)?;
        context.fact(Fact::MachineEnded {
            requests: work.requests,
            writes: work.writes,
        });
        Some(work)
    }

    /// Gives up repairs: a new watch finds again whatever they left.
    pub(super) fn drop_repairs(&mut self) {
        self.work
            .retain(|_, work| matches!(work.machine, Kind::Exchange { .. }));
    }

    /// Gives up an exchange; whom to answer instead.
    pub(super) fn drop_exchange(&mut self, id: WorkId) -> Option<(Message, DeviceName)> {
        let work = self.work.remove(&id)?;
        match work.machine {
            Kind::Exchange { answer_to, .. } => Some((answer_to, work.device)),
            Kind::Reconcile(_) => None,
        }
    }

    /// For a saboteur: verdicts for rows that are not in history yet.
    fn answer_early(&mut self, context: &mut Context, id: WorkId, request: &StoreRequest) -> bool {
        let StoreRequest::AppendHistory { epoch, rows, .. } = request else {
            return false;
        };
        let verdicts = self.sabotage.early_verdicts(*epoch, rows);
        let concluded = Concluded {
            outcome: Outcome::Settled {
                verdicts,
                forbidden: false,
            },
            effects: apollo_gateway_core::exchange::Effects::default(),
        };
        self.conclude(context, id, concluded);
        true
    }
}
