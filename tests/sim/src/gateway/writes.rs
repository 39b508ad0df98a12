//! The queue of status writes between a replica's machines and an API server, and the cache it folds onto: fed by the
//! watch, by what machines read, and by what was written.

use std::collections::BTreeMap;

use apollo_gateway_core::{
    object::ResourceVersion,
    store::{StoreReply, StoreRequest, WriteOutcome},
    writes::{
        Answer, Current, Next, ObjectKey, Refused, Request, SendResult, Unavailable, Write, WriteLimits,
        WriteQueue,
    },
};
use apollo_twins::store::Objects;
use apollo_wire::DeviceName;
use rand::Rng;

use super::Replica;
use crate::{
    facts::{Fact, Writer},
    plan::Millis,
    world::{Context, Event, WorkId},
};

/// Small, so that a few devices meet each bound; half of the places are enough for all processes there are.
const LIMITS: WriteLimits = WriteLimits {
    waiting_max: 10,
    in_flight_max: 1,
    per_second: 4,
    burst: 4,
    pause_default_ms: 1_000,
    patience_ms: 1_000,
    pause_max_ms: 30_000,
};

/// How long an API server with much to do takes to receive a request, milliseconds.
const BUSY_MS: std::ops::Range<Millis> = 1..400;

/// What a replica has beside its queue.
pub(super) struct Writes {
    queue: WriteQueue<Ticket>,
    pub(super) known: Objects,
    asked: BTreeMap<WorkId, Asked>,
    pump_at_ms: Option<Millis>,
}

/// One write of a machine's request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ticket {
    work: WorkId,
    position: usize,
    writer: Writer,
    read: ResourceVersion,
}

/// A request of a machine, and what is known of its writes.
struct Asked {
    is_of_processes: bool,
    device: DeviceName,
    objects: Vec<ObjectKey>,
    outcomes: Vec<Option<Result<WriteOutcome, Unavailable>>>,
}

/// Whether a store that talks to an API server puts such a request into its queue.
pub(super) fn is_queued(request: &StoreRequest) -> bool {
    matches!(
        request,
        StoreRequest::ReplaceProcessStatuses { .. } | StoreRequest::ReplaceDeviceStatus { .. }
    )
}

impl Writes {
    pub(super) fn new() -> Self {
        Self {
            queue: WriteQueue::new(LIMITS),
            known: Objects::default(),
            asked: BTreeMap::new(),
            pump_at_ms: None,
        }
    }

    /// What a machine is told is known.
    pub(super) fn learn(&mut self, reply: &StoreReply) {
        match reply {
            StoreReply::Device(Some(read)) => self.known.learn_device(read.clone()),
            StoreReply::Processes(all) => {
                for read in all {
                    self.known.learn_process(read.clone());
                }
            }
            _ => {}
        }
    }
}

/// The newest version known of an object.
fn current(known: &Objects, key: &ObjectKey) -> Option<Current> {
    match key {
        ObjectKey::Device(device) => known.device(device).cloned().map(Current::Device),
        ObjectKey::Process(process) => known.process(process).cloned().map(Current::Process),
    }
}

/// The writes of a request, each with the version it was computed from.
fn writes_of(request: StoreRequest) -> Vec<(Write, ResourceVersion)> {
    match request {
        StoreRequest::ReplaceProcessStatuses { writes, .. } => writes
            .into_iter()
            .map(|write| (Write::Process(Box::new(write.clone())), write.expected))
            .collect(),
        StoreRequest::ReplaceDeviceStatus {
            device,
            expected,
            status,
        } => {
            let read = expected.clone();
            let write = Write::Device {
                device,
                expected,
                status,
            };
            vec![(write, read)]
        }
        _ => Vec::new(),
    }
}

impl Replica {
    /// Puts the writes of a machine's request into the queue.
    pub(super) fn enqueue(
        &mut self,
        context: &mut Context,
        work: WorkId,
        writer: &Writer,
        request: StoreRequest,
    ) {
        let (Writer::Exchange(_, device) | Writer::Reconcile(_, device)) = writer else {
            return;
        };
        let Some(queued) = &mut self.writes else {
            return;
        };
        let is_of_processes = matches!(request, StoreRequest::ReplaceProcessStatuses { .. });
        let writes = writes_of(request);
        let asked = Asked {
            is_of_processes,
            device: device.clone(),
            objects: writes.iter().map(|(write, _)| write.key()).collect(),
            outcomes: vec![None; writes.len()],
        };
        queued.asked.insert(work, asked);
        let writes = writes
            .into_iter()
            .enumerate()
            .map(|(position, (mut write, read))| {
                if let Write::Process(write) = &mut write {
                    self.sabotage.bend_write(write);
                }
                let ticket = Ticket {
                    work,
                    position,
                    writer: writer.clone(),
                    read,
                };
                (write, ticket)
            });
        if let Err(refused) = queued.queue.push_all(device, writes.collect(), context.now) {
            let retry_after = match refused {
                Refused::Full => {
                    context.count("gateway: write queue full");
                    None
                }
                Refused::Paused { retry_after_ms } => {
                    context.count("gateway: write refused during a pause");
                    Some(std::time::Duration::from_millis(retry_after_ms))
                }
            };
            queued.asked.remove(&work);
            let reply = StoreReply::Unavailable { retry_after };
            context.schedule(0, Event::Answered(self.id, self.life, work, reply));
        }
        self.pump(context);
    }

    /// Sends what may be sent.
    pub fn pump(&mut self, context: &mut Context) {
        loop {
            let Some(writes) = &mut self.writes else {
                return;
            };
            writes.asked.retain(|work, _| self.work.contains_key(work));
            let (asked, known) = (&writes.asked, &writes.known);
            let waits_for = |key: &ObjectKey| {
                let mut asked = asked.values();
                asked
                    .find(|asked| asked.objects.contains(key))
                    .map(|asked| &asked.device)
            };
            let sabotage = self.sabotage;
            let next = writes.queue.next(
                context.now,
                |key| current(known, key).map(|current| sabotage.bend_current(current, waits_for(key))),
                |ticket| asked.contains_key(&ticket.work),
            );
            match next {
                Next::Send(request) => self.send(context, request),
                Next::Answers(answers) => {
                    context.count("gateway: write known to be in vain");
                    self.tell(context, answers);
                }
                Next::Wait(at_ms) => {
                    let is_armed = writes.pump_at_ms.is_some_and(|armed_ms| armed_ms > context.now);
                    if let Some(at_ms) = at_ms.filter(|_| !is_armed) {
                        writes.pump_at_ms = Some(at_ms);
                        context.schedule(at_ms - context.now, Event::Pump(self.id, self.life));
                    }
                    return;
                }
            }
        }
    }

    fn send(&mut self, context: &mut Context, request: Request) {
        if request.writes > 1 {
            context.count("gateway: writes folded");
        }
        if request.carried_over > 0 {
            context.count("gateway: write carried over to a newer version");
        }
        let Some(writes) = &self.writes else {
            return;
        };
        let carried: Vec<Ticket> = writes.queue.carried(&request.key).cloned().collect();
        for ticket in &carried {
            if let (Writer::Reconcile(..), ObjectKey::Process(process)) = (&ticket.writer, &request.key) {
                context.fact(Fact::RepairSent {
                    process: process.clone(),
                    read: ticket.read.clone(),
                    sent_for: request.expected.clone(),
                });
            }
        }
        if let Some(first) = carried.first() {
            let takes_ms = context.chance.store.random_range(BUSY_MS);
            let patch = Event::Patch(self.id, self.life, first.writer.clone(), Box::new(request));
            context.schedule(takes_ms, patch);
        }
    }

    /// The API server's answer to a request of the queue.
    pub fn on_patched(
        &mut self,
        context: &mut Context,
        key: &ObjectKey,
        result: SendResult,
        written: Option<Current>,
    ) {
        let Some(writes) = &mut self.writes else {
            return;
        };
        match written {
            Some(Current::Device(device)) => writes.known.learn_device(device),
            Some(Current::Process(process)) => writes.known.learn_process(process),
            None => {}
        }
        if matches!(result, SendResult::TooManyRequests { .. }) {
            context.count("gateway: writes paused by 429");
        }
        let answers = writes.queue.done(key, result, context.now);
        self.tell(context, answers);
        self.pump(context);
    }

    /// Answers the machines whose writes are all known.
    fn tell(&mut self, context: &mut Context, answers: Vec<Answer<Ticket>>) {
        let Some(writes) = &mut self.writes else {
            return;
        };
        for Answer { ticket, outcome } in answers {
            let Some(asked) = writes.asked.get_mut(&ticket.work) else {
                continue;
            };
            if let Some(place) = asked.outcomes.get_mut(ticket.position) {
                *place = Some(outcome);
            }
            if asked.outcomes.iter().all(Option::is_some) {
                let reply = asked.reply();
                writes.asked.remove(&ticket.work);
                context.schedule(0, Event::Answered(self.id, self.life, ticket.work, reply));
            }
        }
    }
}

impl Asked {
    fn reply(&self) -> StoreReply {
        let outcomes: Result<Vec<WriteOutcome>, Unavailable> =
            self.outcomes.iter().flatten().cloned().collect();
        match outcomes {
            Ok(outcomes) if self.is_of_processes => StoreReply::StatusesWritten(outcomes),
            Ok(outcomes) => {
                let outcome = outcomes.into_iter().next().unwrap_or(WriteOutcome::Conflict);
                StoreReply::Written(outcome)
            }
            Err(Unavailable { retry_after_ms }) => StoreReply::Unavailable {
                retry_after: retry_after_ms.map(std::time::Duration::from_millis),
            },
        }
    }
}
