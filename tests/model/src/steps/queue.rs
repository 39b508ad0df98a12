//! The queue of status writes: what waits becomes a request, and a request comes to its end.

use apollo_gateway_core::{
    object::{ProcessObject, Versioned},
    store::{Freshness, StatusWrite, StoreReply, StoreRequest, WriteOutcome},
    writes::{
        Answer, Current, Next, ObjectKey, Request, SendResult, StatusChange, Write, WriteLimits, WriteQueue,
    },
};

use super::{replicas, spend};
use crate::{
    action::{Action, Fault},
    cast,
    met::Met,
    scope::Scope,
    world::{World, queue::Sent},
};

/// What may happen to the queue.
pub(super) fn possible(world: &World, actions: &mut Vec<Action>) {
    match &world.queue.sent {
        None if !world.queue.waiting.is_empty() => actions.push(Action::Send),
        None => {}
        Some(_) => {
            actions.push(Action::Sent(Fault::None));
            if world.left.unavailable > 0 {
                actions.push(Action::Sent(Fault::Unavailable));
            }
            if world.left.lost_answers > 0 {
                actions.push(Action::Sent(Fault::AnswerLost));
            }
        }
    }
}

/// The one write of a replica's report.
fn write_of(world: &World, number: usize) -> Option<StatusWrite> {
    match &world.replicas[number].serving.as_ref()?.request {
        StoreRequest::ReplaceProcessStatuses { writes, .. } => writes.first().cloned(),
        _ => None,
    }
}

/// The real queue with the writes of these replicas.
fn real(scope: &Scope, world: &World, numbers: &[usize]) -> Option<WriteQueue<usize>> {
    let mut queue = WriteQueue::new(WriteLimits::default());
    for number in numbers {
        let serving = world.replicas[*number].serving.as_ref()?;
        let device = cast::device(scope.agents[serving.from].device);
        let write = Write::Process(Box::new(write_of(world, *number)?));
        queue.push(device, write, *number, 0).ok()?;
    }
    Some(queue)
}

/// What the API server has of the process: the cache follows at once, but for what happens while a request is under way.
fn newest(world: &World, process: &apollo_wire::ProcessRef) -> Option<Versioned<ProcessObject>> {
    let mut store = (*world.store).clone();
    let request = StoreRequest::ReadProcesses {
        device: cast::device(0),
        named: vec![process.clone()],
        freshness: Freshness::Authoritative,
    };
    match store.execute(request, None) {
        StoreReply::Processes(found) => found.into_iter().find(|read| read.object.process == *process),
        _ => None,
    }
}

/// Decides what becomes of what waits.
pub(super) fn send(scope: &Scope, world: &mut World) -> Option<()> {
    let waiting = std::mem::take(&mut world.queue.waiting);
    let mut queue = real(scope, world, &waiting)?;
    let process = write_of(world, *waiting.first()?)?.process;
    let from = newest(world, &process)?;
    let next = queue.next(0, |_| Some(Current::Process(from.clone())), |_| true);
    match next {
        Next::Send(request) => {
            world.met.add_if(request.writes > 1, Met::Folded);
            world.met.add_if(request.carried_over > 0, Met::CarriedOver);
            let carried: Vec<usize> = queue.carried(&request.key).copied().collect();
            world.queue.waiting = without(waiting, &carried);
            world.queue.sent = Some(Box::new(Sent {
                carried,
                request,
                from,
            }));
        }
        Next::Answers(answers) => {
            world.met.add(Met::KnownWithoutRequest);
            let told: Vec<usize> = answers.iter().map(|answer| answer.ticket).collect();
            world.queue.waiting = without(waiting, &told);
            tell(scope, world, answers);
        }
        Next::Wait(_) => return None,
    }
    Some(())
}

fn without(numbers: Vec<usize>, gone: &[usize]) -> Vec<usize> {
    numbers
        .into_iter()
        .filter(|number| !gone.contains(number))
        .collect()
}

/// The request under way comes to its end.
pub(super) fn sent(scope: &Scope, world: &mut World, fault: Fault) -> Option<()> {
    let Sent {
        carried,
        request,
        from,
    } = *world.queue.sent.take()?;
    let mut queue = real(scope, world, &carried)?;
    let Next::Send(again) = queue.next(0, |_| Some(Current::Process(from.clone())), |_| true) else {
        return None;
    };
    debug_assert_eq!(again, request, "the same writes make the same request");
    let unavailable = SendResult::Unavailable { retry_after_ms: None };
    let result = match fault {
        Fault::None => patch(scope, world, *carried.first()?, &request)?,
        Fault::Unavailable => {
            spend(&mut world.left.unavailable)?;
            unavailable
        }
        Fault::AnswerLost => {
            spend(&mut world.left.lost_answers)?;
            patch(scope, world, *carried.first()?, &request)?;
            unavailable
        }
        Fault::Killed => return None,
    };
    let answers = queue.done(&request.key, result, 0);
    tell(scope, world, answers);
    Some(())
}

/// The API server carries it out; the rules look at it as at a write of the first report it carries.
fn patch(scope: &Scope, world: &mut World, number: usize, request: &Request) -> Option<SendResult> {
    let (ObjectKey::Process(process), StatusChange::Process { to, .. }) = (&request.key, &request.change)
    else {
        return None;
    };
    let write = StatusWrite {
        process: process.clone(),
        expected: request.expected.clone(),
        status: (**to).clone(),
        join: write_of(world, number)?.join,
    };
    let mut serving = world.replicas[number].serving.clone()?;
    let replace = StoreRequest::ReplaceProcessStatuses {
        device: cast::device(scope.agents[serving.from].device),
        writes: vec![write],
    };
    let reply = replicas::carry_out(scope, world, number, &mut serving, replace);
    world.replicas[number].change(|replica| replica.serving = Some(serving));
    let StoreReply::StatusesWritten(outcomes) = reply else {
        return None;
    };
    Some(match outcomes.into_iter().next()? {
        WriteOutcome::Written(version) => SendResult::Written(version),
        WriteOutcome::Conflict => SendResult::Conflict,
        WriteOutcome::Gone => SendResult::Gone,
    })
}

fn tell(scope: &Scope, world: &mut World, answers: Vec<Answer<usize>>) {
    for Answer { ticket, outcome } in answers {
        let Some(mut serving) = world.replicas[ticket].serving.clone() else {
            continue;
        };
        serving.queued = false;
        serving.lost_swap |= outcome == Ok(WriteOutcome::Conflict);
        let reply = match outcome {
            Ok(outcome) => StoreReply::StatusesWritten(vec![outcome]),
            Err(_) => StoreReply::Unavailable { retry_after: None },
        };
        replicas::hand_over(scope, world, ticket, serving, reply);
    }
}
