//! The queue's thread: one transaction at a time, each atomic and synced. A kill finds it before or after the commit.

use std::collections::BTreeMap;

use apollo_agent_core::engine::{self, Document, StartExchange, state::ExchangeId};
use apollo_twins::queue::{Batch, Queue, Settled};
use apollo_wire::{InstanceId, Observation, Sequence, Verdicts};
use rand::Rng;

use super::{Calls, Machine, Taken};
use crate::{
    facts::{Departure, Fact, Operation, TOKEN, Token, Transaction},
    plan::{Disturbance, Millis},
    sabotage::Sabotage,
    world::{Context, Event},
};

/// How long a good disk takes for a transaction, milliseconds: flash with a sync.
const GOOD_MS: std::ops::Range<Millis> = 1..20;

/// Something to be done by the queue's thread.
#[derive(Debug)]
pub(super) enum Call {
    Take(StartExchange),
    Settle {
        id: ExchangeId,
        taken: Taken,
        verdicts: Verdicts,
    },
    Renew {
        id: ExchangeId,
        new: InstanceId,
    },
    StoreDesired(Document),
    Append(Vec<Observation>),
    Note,
    Look,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Done {
    Taken(Option<(Batch, engine::Batch)>),
    Settled {
        id: ExchangeId,
        named: u64,
        settled: Option<Settled>,
        pending: u64,
    },
    Renewed {
        id: ExchangeId,
        pending: Option<u64>,
    },
    Stored(Option<Document>),
    Appended {
        refused: Option<Vec<Observation>>,
        pending: u64,
    },
    Noted,
    Looked {
        pending: u64,
    },
}

/// The thread.
#[derive(Debug, Default)]
pub(super) struct DiskThread {
    calls: Calls,
    done: Option<Done>,
    is_working: bool,
}

impl DiskThread {
    /// A transaction has begun, and whether it has committed.
    pub(super) fn under_way(&self) -> Option<bool> {
        self.is_working.then_some(self.done.is_some())
    }
}

/// What a checker compares before and after a transaction.
struct Contents {
    instance: InstanceId,
    pending: BTreeMap<Token, Sequence>,
    dead: BTreeMap<Token, Sequence>,
}

/// The token in an observation; 0 for one that has none.
pub fn token_of(observation: &Observation) -> Token {
    let value = observation.values.get(TOKEN).and_then(|value| value.as_integer());
    value.map_or(0, i64::cast_unsigned)
}

impl Contents {
    fn of(queue: &Queue) -> Self {
        let of = |observation: &Observation| (token_of(observation), observation.seq);
        Self {
            instance: queue.instance(),
            pending: queue.observations().map(of).collect(),
            dead: queue
                .dead_letters()
                .map(|letter| of(&letter.observation))
                .collect(),
        }
    }
}

impl Machine {
    /// Hands a call to the queue's thread.
    pub(super) fn call(&mut self, context: &mut Context, call: Call) {
        let Some(agent) = &mut self.agent else { return };
        agent.disk.calls.push_back(call);
        self.work(context);
    }

    fn work(&mut self, context: &mut Context) {
        let (id, life) = (self.id, self.life);
        let Some(agent) = &mut self.agent else { return };
        if !agent.disk.is_working && !agent.disk.calls.is_empty() {
            agent.disk.is_working = true;
            let takes_ms = takes_ms(context, id);
            context.schedule(takes_ms, Event::Commit(id, life));
        }
    }

    /// The transaction under way commits.
    pub fn commit(&mut self, context: &mut Context) {
        let (id, life) = (self.id, self.life);
        let call = self.agent.as_mut().and_then(|agent| agent.disk.calls.pop_front());
        let Some(call) = call else { return };
        let operation = operation(&call);
        let is_full = self.is_disk_full(context);
        let sabotage = self.sabotage;
        let step = |queue: &mut Queue, boot| {
            let done = run(queue, boot, call, is_full, sabotage);
            sabotage.spoil(queue, operation);
            done
        };
        let done = if operation == Operation::Note {
            // Touches neither rows nor gap records.
            step(&mut self.queue, self.boot)
        } else {
            self.transact(context, operation, step)
        };
        count(context, &done);
        if let Some(agent) = &mut self.agent {
            agent.disk.done = Some(done);
        }
        let takes_ms = takes_ms(context, id);
        context.schedule(takes_ms, Event::Committed(id, life));
    }

    /// The result of the transaction reaches whoever waits for it.
    pub fn committed(&mut self, context: &mut Context) {
        let Some(agent) = &mut self.agent else { return };
        agent.disk.is_working = false;
        let Some(done) = agent.disk.done.take() else {
            return;
        };
        self.work(context);
        self.on_done(context, done);
        self.pump(context);
    }

    /// One transaction on the queue; the checkers are told what it changed.
    pub(super) fn transact<T>(
        &mut self,
        context: &mut Context,
        operation: Operation,
        step: impl FnOnce(&mut Queue, u32) -> T,
    ) -> T {
        let before = Contents::of(&self.queue);
        let gaps_before = self.queue.gaps();
        let result = step(&mut self.queue, self.boot);
        let after = Contents::of(&self.queue);
        let transaction = Transaction {
            machine: self.id,
            device: self.device.clone(),
            operation,
            instance_before: before.instance,
            instance: after.instance,
            arrived: arrived(&before, &after),
            departed: departed(&before, &after),
            exhumed: before
                .dead
                .keys()
                .filter(|token| !after.dead.contains_key(token))
                .copied()
                .collect(),
            gaps: self.queue.gaps(),
            pending: self.queue.pending(),
        };
        let nothing = transaction.arrived.is_empty()
            && transaction.departed.is_empty()
            && transaction.exhumed.is_empty()
            && transaction.gaps == gaps_before
            && before.instance == after.instance;
        if operation == Operation::Append && !transaction.departed.is_empty() {
            context.count("agent: rows dropped for want of room");
        }
        if !nothing {
            context.note(|| format!("machine {}: {}", self.id, describe(&transaction)));
            context.fact(Fact::Queue(transaction));
        }
        result
    }

    pub(super) fn is_disk_full(&self, context: &Context) -> bool {
        let full = |disturbance: &Disturbance| *disturbance == Disturbance::DiskFull { machine: self.id };
        context.disturbances.values().any(full)
    }
}

fn operation(call: &Call) -> Operation {
    match call {
        Call::Take(_) => Operation::Take,
        Call::Settle { .. } => Operation::Settle,
        Call::Renew { .. } => Operation::Renew,
        Call::Append(_) => Operation::Append,
        Call::StoreDesired(_) | Call::Note | Call::Look => Operation::Note,
    }
}

fn arrived(before: &Contents, after: &Contents) -> Vec<(Sequence, Token)> {
    let is_new = |(token, sequence): &(&Token, &Sequence)| before.pending.get(*token) != Some(*sequence);
    let pending = after.pending.iter().filter(is_new);
    pending.map(|(token, sequence)| (*sequence, *token)).collect()
}

fn departed(before: &Contents, after: &Contents) -> Vec<(Sequence, Token, Departure)> {
    let has_left = |(token, sequence): &(&Token, &Sequence)| after.pending.get(*token) != Some(*sequence);
    let left = before.pending.iter().filter(has_left);
    left.map(|(token, sequence)| {
        let how = match after.dead.contains_key(token) {
            true => Departure::Buried,
            false => Departure::Gone,
        };
        (*sequence, *token, how)
    })
    .collect()
}

/// What the queue does for a call; on a full disk everything that has to write fails.
fn run(queue: &mut Queue, boot: u32, call: Call, is_full: bool, sabotage: Sabotage) -> Done {
    match call {
        Call::Take(start) => Done::Taken(take(queue, boot, start, is_full)),
        Call::Settle { id, taken, verdicts } => {
            let named = named(&taken.sequences, &verdicts);
            let writes = !taken.sequences.is_empty() || !taken.gaps.is_empty();
            let settled = match (writes, is_full) {
                (false, _) => Some(Settled::default()),
                (true, true) => None,
                (true, false) => {
                    let verdicts = sabotage.read(verdicts);
                    queue.settle(taken.instance, &taken.gaps, &verdicts).ok()
                }
            };
            Done::Settled {
                id,
                named,
                settled,
                pending: queue.pending(),
            }
        }
        Call::Renew { id, new } => {
            if !is_full {
                queue.renew_instance(new);
            }
            Done::Renewed {
                id,
                pending: (!is_full).then(|| queue.pending()),
            }
        }
        Call::StoreDesired(document) => {
            let stored = (!is_full).then_some(document);
            if let Some(Document { etag, desired }) = &stored {
                queue.store_desired(etag.clone().unwrap_or_default(), desired.clone());
            }
            Done::Stored(stored)
        }
        Call::Append(observations) => {
            let refused = if is_full {
                Some(observations)
            } else {
                queue.append(boot, observations).err().map(|_| Vec::new())
            };
            Done::Appended {
                refused,
                pending: queue.pending(),
            }
        }
        Call::Note => Done::Noted,
        Call::Look => Done::Looked {
            pending: queue.pending(),
        },
    }
}

/// Reads a batch and marks it as offered: from here on a gateway may know of it.
fn take(queue: &mut Queue, boot: u32, start: StartExchange, is_full: bool) -> Option<(Batch, engine::Batch)> {
    let max_rows = usize::try_from(start.max_rows).unwrap_or(usize::MAX);
    let mut read = queue.clone();
    let batch = read.next_batch(boot, max_rows, start.max_bytes);
    let drops_damaged_rows = read != *queue;
    let marks = batch
        .range()
        .is_some_and(|range| *range.end() > queue.offered_through());
    if is_full && (drops_damaged_rows || marks) {
        return None;
    }
    *queue = read;
    if let Some(range) = batch.range() {
        queue.mark_offered(*range.end());
    }
    let rows = u32::try_from(batch.observations.len()).unwrap_or(u32::MAX);
    let facts = engine::Batch {
        rows,
        more: batch.queue.pending > u64::from(rows),
        next_sequence: queue.next_sequence(),
        offered_through: batch.offered_through,
    };
    Some((batch, facts))
}

/// How many of the rows sent the verdicts name.
fn named(sequences: &[Sequence], verdicts: &Verdicts) -> u64 {
    let is_named = |sequence: &&Sequence| {
        verdicts.acked.iter().any(|range| range.contains(**sequence))
            || verdicts
                .rejected
                .iter()
                .any(|rejection| rejection.seq == **sequence)
    };
    sequences.iter().filter(is_named).count() as u64
}

fn count(context: &mut Context, done: &Done) {
    match done {
        Done::Appended { refused: Some(_), .. } => context.count("agent: append refused by a full disk"),
        Done::Settled { settled: None, .. } => context.count("agent: settle refused by a full disk"),
        Done::Renewed { pending: Some(_), .. } => context.count("agent: instance renewed"),
        Done::Stored(Some(_)) => context.count("agent: desired state stored"),
        _ => {}
    }
}

fn takes_ms(context: &mut Context, machine: usize) -> Millis {
    let slow = context
        .disturbances
        .values()
        .filter_map(|disturbance| match disturbance {
            Disturbance::DiskSlow {
                machine: slow,
                up_to_ms,
            } if *slow == machine => Some(*up_to_ms),
            _ => None,
        });
    let slowest = slow.max().unwrap_or(0);
    context.chance.disk.random_range(GOOD_MS) + context.chance.disk.random_range(0..=slowest)
}

fn describe(transaction: &Transaction) -> String {
    let rows = |rows: &[(Sequence, Token)]| {
        let rows: Vec<String> = rows
            .iter()
            .map(|(sequence, token)| format!("{sequence} (o{token})"))
            .collect();
        rows.join(", ")
    };
    let departed: Vec<(Sequence, Token)> = transaction
        .departed
        .iter()
        .map(|(sequence, token, _)| (*sequence, *token))
        .collect();
    let mut text = format!("{:?}", transaction.operation);
    if transaction.instance != transaction.instance_before {
        text += &format!(
            ", instance {} is now {}",
            transaction.instance_before, transaction.instance
        );
    }
    if !transaction.arrived.is_empty() {
        text += &format!(", came {}", rows(&transaction.arrived));
    }
    if !departed.is_empty() {
        text += &format!(", left {}", rows(&departed));
    }
    text + &format!(
        ", {} pending, {} gaps",
        transaction.pending,
        transaction.gaps.len()
    )
}
