//! Replicas: one store step at a time, and what may go wrong with it.

use apollo_gateway_core::{
    exchange::{Concluded, Outcome},
    store::{Freshness, StoreReply, StoreRequest, WriteOutcome},
};

use super::spend;
use crate::{
    action::{Action, Fault},
    met::Met,
    rules::{stores, verdicts},
    sabotage::Saboteur,
    scope::Scope,
    world::{
        World, is_sabotaged,
        letter::{Answer, Letter},
        replica::{Replica, Serving},
    },
};

/// What may happen at the replicas.
pub(super) fn possible(scope: &Scope, world: &World, actions: &mut Vec<Action>) {
    for (number, replica) in world.replicas.iter().enumerate() {
        let Some(serving) = replica.serving.as_ref().filter(|serving| !serving.queued) else {
            continue;
        };
        if number > 0 && world.replicas[number - 1] == *replica {
            continue;
        }
        let mut add = |fault| actions.push(Action::Store(number, fault));
        add(Fault::None);
        let is_queued =
            scope.queued_writes && matches!(serving.request, StoreRequest::ReplaceProcessStatuses { .. });
        if is_queued {
            continue;
        }
        if world.left.unavailable > 0 {
            add(Fault::Unavailable);
        }
        if world.left.lost_answers > 0 && is_write(&serving.request) {
            add(Fault::AnswerLost);
        }
        if world.left.kills > 0 {
            add(Fault::Killed);
        }
    }
}

/// Whether a request may change anything: a read whose answer is lost is one that was refused.
fn is_write(request: &StoreRequest) -> bool {
    !matches!(
        request,
        StoreRequest::ReadDevice { .. }
            | StoreRequest::ReadProcesses { .. }
            | StoreRequest::ReadHighest { .. }
            | StoreRequest::ReadSettled { .. }
    )
}

/// Does one.
pub(super) fn step(scope: &Scope, world: &mut World, number: usize, fault: Fault) -> Option<()> {
    let mut serving = world.replicas[number].serving.clone()?;
    let request = serving.request.clone();
    let is_queued = scope.queued_writes && matches!(request, StoreRequest::ReplaceProcessStatuses { .. });
    if is_queued && fault == Fault::None {
        serving.queued = true;
        world.queue.waiting.push(number);
        world.replicas[number].change(|replica| replica.serving = Some(serving));
        return Some(());
    }
    let unavailable = StoreReply::Unavailable { retry_after: None };
    let reply = match fault {
        Fault::None => carry_out(scope, world, number, &mut serving, request),
        Fault::Unavailable => {
            spend(&mut world.left.unavailable)?;
            unavailable
        }
        Fault::AnswerLost => {
            spend(&mut world.left.lost_answers)?;
            carry_out(scope, world, number, &mut serving, request);
            unavailable
        }
        Fault::Killed => {
            spend(&mut world.left.kills)?;
            world.met.add_if(serving.wrote, Met::KilledAfterHistory);
            world.replicas[number].change(|replica| replica.serving = None);
            return Some(());
        }
    };
    hand_over(scope, world, number, serving, reply);
    Some(())
}

/// Hands the store's answer to a replica's report.
pub(super) fn hand_over(
    scope: &Scope,
    world: &mut World,
    number: usize,
    mut serving: Serving,
    reply: StoreReply,
) {
    let concluded = serving.advance(reply);
    match concluded {
        None => world.replicas[number].change(|replica| replica.serving = Some(serving)),
        Some(concluded) => {
            world.replicas[number].change(|replica| replica.serving = None);
            conclude(scope, world, &serving, concluded);
        }
    }
}

pub(super) fn carry_out(
    scope: &Scope,
    world: &mut World,
    number: usize,
    serving: &mut Serving,
    request: StoreRequest,
) -> StoreReply {
    let Replica { cache, .. } = &*world.replicas[number];
    let cache = cache.clone();
    if !is_write(&request) {
        return read(scope, world, serving, request, cache.as_deref());
    }
    if let Some(reply) = pretended(scope, &request) {
        return reply;
    }
    let before = world.store.clone();
    let request = tampered(scope, world, request);
    let reply = world.store.change(|store| store.execute(request.clone(), None));
    serving.wrote |= before != world.store;
    stores::after_write(scope, world, &before, serving, &request, &reply);
    reply
}

fn read(
    scope: &Scope,
    world: &mut World,
    serving: &mut Serving,
    request: StoreRequest,
    cache: Option<&crate::world::store::Snapshot>,
) -> StoreReply {
    let mut store = (*world.store).clone();
    let from_cache = matches!(
        &request,
        StoreRequest::ReadDevice { freshness, .. } | StoreRequest::ReadProcesses { freshness, .. }
            if *freshness == Freshness::Cached
    );
    let mut reply = store.execute(request.clone(), cache);
    if cache.is_some() && from_cache && reply != store.execute(request, None) {
        world.met.add(Met::StaleRead);
    }
    if let StoreReply::Device(Some(found)) = &mut reply {
        serving.blocked |= found.object.blocked;
        if is_sabotaged(scope, Saboteur::BlockIgnored) {
            found.object.blocked = false;
        }
    }
    reply
}

/// What a saboteur answers without having done it.
fn pretended(scope: &Scope, request: &StoreRequest) -> Option<StoreReply> {
    match request {
        StoreRequest::ReplaceProcessStatuses { writes, .. }
            if is_sabotaged(scope, Saboteur::VerdictBeforeStatus) =>
        {
            let written = |write: &apollo_gateway_core::store::StatusWrite| {
                WriteOutcome::Written(write.expected.clone())
            };
            Some(StoreReply::StatusesWritten(writes.iter().map(written).collect()))
        }
        StoreRequest::AppendHistory { rows, .. } if is_sabotaged(scope, Saboteur::VerdictBeforeHistory) => {
            let new = rows.iter().map(|_| true).collect();
            Some(StoreReply::HistoryAppended { new, highest: 0 })
        }
        _ => None,
    }
}

/// What a saboteur makes of a request.
fn tampered(scope: &Scope, world: &World, mut request: StoreRequest) -> StoreRequest {
    if is_sabotaged(scope, Saboteur::VersionIgnored) {
        world.store.force(&mut request);
    }
    if let StoreRequest::AppendHistory { on_conflict, .. } = &mut request
        && is_sabotaged(scope, Saboteur::DivergenceIgnored)
    {
        *on_conflict = apollo_gateway_core::store::OnConflict::KeepFirst;
    }
    request
}

/// The answer goes back, if anybody listens.
fn conclude(scope: &Scope, world: &mut World, serving: &Serving, concluded: Concluded) {
    verdicts::at_the_end(scope, world, serving, &concluded);
    if !serving.awaited {
        return;
    }
    let answer = match concluded.outcome {
        Outcome::Settled { verdicts, .. } => Answer::Verdicts(verdicts),
        Outcome::Refused(_) => Answer::Refused,
        Outcome::Busy { .. } => Answer::Busy,
    };
    world.send(Letter::Answer {
        to: serving.from,
        answer,
    });
}
