//! Agents: what the driver does around the engine and the queue, and where it may be killed.

use apollo_agent_core::engine::Batch as Facts;
use apollo_agent_core::engine::{Failure, FailureKind};

use super::spend;
use crate::{
    action::{Action, AgentStep, Disk},
    cast,
    met::Met,
    rules::queues,
    sabotage::Saboteur,
    scope::Scope,
    world::{
        IDS_PER_AGENT, World,
        agent::{self, Agent, BOOT, Process, Taken, Task},
        is_sabotaged,
        letter::Letter,
    },
};

/// What agents may do.
pub(super) fn possible(world: &World, actions: &mut Vec<Action>) {
    for (number, agent) in world.agents.iter().enumerate() {
        let mut add = |step| actions.push(Action::Agent(number, step));
        let Some(process) = &agent.process else {
            add(AgentStep::Start);
            continue;
        };
        if agent.image.is_some() {
            add(AgentStep::Restore);
        }
        let mut write = |step: fn(Disk) -> AgentStep| {
            add(step(Disk::Written));
            if world.left.crashes > 0 {
                add(step(Disk::WrittenThenKilled));
            }
            if world.left.refusals > 0 {
                add(step(Disk::Refused));
            }
        };
        match &process.task {
            Task::Rest | Task::Call(_) => write(AgentStep::Call),
            Task::Settle { .. } => write(AgentStep::Settle),
            Task::Renew => write(AgentStep::Renew),
            Task::Await { resent, .. } => {
                if !world.is_awaited(number) || world.left.impatience > 0 {
                    add(AgentStep::GiveUp);
                }
                if !resent && world.left.resends > 0 {
                    add(AgentStep::SendAgain);
                }
            }
        }
        actions.push(Action::Agent(number, AgentStep::Observe(Disk::Written)));
        if world.left.crashes > 0 {
            actions.push(Action::Agent(number, AgentStep::Observe(Disk::WrittenThenKilled)));
            actions.push(Action::Agent(number, AgentStep::Kill));
        }
        if world.left.purges > 0 && agent.disk.pending() > 0 {
            actions.push(Action::Agent(number, AgentStep::Purge));
        }
        if world.left.images > 0 && agent.image.is_none() {
            actions.push(Action::Agent(number, AgentStep::Copy));
        }
    }
}

/// Does one.
pub(super) fn step(scope: &Scope, world: &mut World, number: usize, step: AgentStep) -> Option<()> {
    match step {
        AgentStep::Observe(disk) => observe(scope, world, number, disk),
        AgentStep::Call(disk) => call(scope, world, number, disk),
        AgentStep::GiveUp => give_up(world, number),
        AgentStep::SendAgain => send_again(world, number),
        AgentStep::Settle(disk) => settle(world, number, disk),
        AgentStep::Renew(disk) => renew(scope, world, number, disk),
        AgentStep::Purge => purge(world, number),
        AgentStep::Kill => {
            let process = world.agents[number].process.as_ref()?;
            let (awaits, settles) = match process.task {
                Task::Await { .. } => (true, false),
                Task::Settle { .. } => (false, true),
                _ => (false, false),
            };
            world.met.add_if(awaits, Met::CrashAwaiting);
            world.met.add_if(settles, Met::CrashBeforeSettle);
            kill(world, number)
        }
        AgentStep::Start => {
            let device = cast::device(scope.agents[number].device);
            world.agents[number].change(|agent| {
                agent.process = Some(Process::start(device, &agent.disk, scope.batch_rows));
            });
            Some(())
        }
        AgentStep::Copy => {
            spend(&mut world.left.images)?;
            world.agents[number].change(|agent| agent.image = Some(Box::new(agent.disk.clone())));
            Some(())
        }
        AgentStep::Restore => restore(world, number),
    }
}

fn observe(scope: &Scope, world: &mut World, number: usize, disk: Disk) -> Option<()> {
    let plan = &scope.agents[number];
    let observed = world.agents[number].observed;
    let about = *plan.observes.get(usize::from(observed))?;
    let id = u8::try_from(number).ok()? * IDS_PER_AGENT + observed;
    let unsynced = is_sabotaged(scope, Saboteur::UnsyncedAppend);
    let before = world.agents[number].clone();
    world.agents[number].change(|agent| {
        if unsynced && agent.unsynced_since.is_none() {
            agent.unsynced_since = Some(Box::new(agent.disk.clone()));
        }
        // The observations of the model are within the contract's bounds.
        let _ = agent.disk.append(BOOT, vec![cast::observation(id, about)]);
        if is_sabotaged(scope, Saboteur::SilentOverflow) {
            queues::forget_gaps(&mut agent.disk);
        }
        agent.observed += 1;
        if let Some(process) = &mut agent.process
            && disk == Disk::Written
        {
            process.queued(&agent.disk);
        }
    });
    queues::after_making_room(world, &before, number);
    if disk == Disk::WrittenThenKilled {
        world.met.add(Met::CrashAfterAppend);
        return kill(world, number);
    }
    world.ledger.confirmed.add(id);
    Some(())
}

/// Another command of the agent does it; the running one notices that its queue is empty.
fn purge(world: &mut World, number: usize) -> Option<()> {
    spend(&mut world.left.purges)?;
    let before = world.agents[number].clone();
    world.agents[number].change(|agent| {
        agent.disk.purge();
        let Agent { process, disk, .. } = agent;
        if let Some(process) = process {
            process.queued(disk);
        }
    });
    queues::after_making_room(world, &before, number);
    Some(())
}

/// The timer fires, if it is armed; then the batch is taken and sent. The two are one step: whatever could happen between
/// them could as well happen before.
fn call(scope: &Scope, world: &mut World, number: usize, disk: Disk) -> Option<()> {
    let agent = &world.agents[number];
    let process = agent.process.as_ref()?;
    if matches!(process.task, Task::Rest) {
        if agent.has_nothing_to_say() {
            spend(&mut world.left.heartbeats)?;
        }
        world.agents[number].change(|agent| {
            let fired = apollo_agent_core::engine::Event::TimerFired;
            agent.process.as_mut().map(|process| process.tell(fired, None));
        });
    }
    if disk == Disk::Refused {
        spend(&mut world.left.refusals)?;
        world.agents[number].change(|agent| agent.process.as_mut().map(Process::not_taken));
        return Some(());
    }
    let unnoted = is_sabotaged(scope, Saboteur::OfferedUnnoted);
    let report = world.agents[number].change(|agent| take(agent, unnoted))?;
    queues::before_sending(world, number, &report);
    if disk == Disk::WrittenThenKilled {
        world
            .met
            .add_if(!report.observations.is_empty(), Met::CrashOfferedUnsent);
        return kill(world, number);
    }
    world.send(Letter::Report {
        from: number,
        awaited: true,
        report,
    });
    Some(())
}

/// As the driver's `take`: the batch and the note of it, in that order, before anything is sent.
fn take(agent: &mut Agent, unnoted: bool) -> Option<apollo_wire::Report> {
    let process = agent.process.as_mut()?;
    let Task::Call(call) = process.task else {
        return None;
    };
    let batch = agent
        .disk
        .next_batch(BOOT, usize::try_from(call.max_rows).ok()?, u64::MAX);
    if let Some(range) = batch.range()
        && !unnoted
    {
        agent.disk.mark_offered(*range.end());
    }
    let rows = u32::try_from(batch.observations.len()).ok()?;
    let facts = Facts {
        rows,
        more: batch.queue.pending > u64::from(rows),
        next_sequence: agent.disk.next_sequence(),
        offered_through: batch.offered_through,
    };
    let taken = Taken {
        instance: batch.instance,
        gaps: batch.gaps.clone(),
        sequences: batch.observations.iter().map(|row| row.seq).collect(),
    };
    let report = agent::report(call, batch);
    process.task = Task::Await {
        taken,
        facts,
        resent: false,
        report: Box::new(report.clone()),
        poll: call.poll,
    };
    Some(report)
}

fn give_up(world: &mut World, number: usize) -> Option<()> {
    if world.is_awaited(number) {
        spend(&mut world.left.impatience)?;
    }
    world.stop_listening(number);
    let failure = Failure::new(FailureKind::Interrupted, "no answer");
    world.agents[number].change(|agent| {
        let Agent { process, disk, .. } = agent;
        process
            .as_mut()
            .map(|process| process.answered(Err(failure), disk));
    });
    Some(())
}

/// As the client does when a connection turns out to be dead: the first report may have been taken, so the second counts
/// its rows as offered.
fn send_again(world: &mut World, number: usize) -> Option<()> {
    spend(&mut world.left.resends)?;
    world.stop_listening(number);
    let report = world.agents[number].change(|agent| {
        let Task::Await {
            facts,
            resent,
            report,
            taken,
            ..
        } = &mut agent.process.as_mut()?.task
        else {
            return None;
        };
        let last = taken.sequences.last().copied().unwrap_or(0);
        facts.offered_through = facts.offered_through.max(last);
        report.offered_through = Some(facts.offered_through);
        *resent = true;
        Some((**report).clone())
    })?;
    world.send(Letter::Report {
        from: number,
        awaited: true,
        report,
    });
    Some(())
}

fn settle(world: &mut World, number: usize, disk: Disk) -> Option<()> {
    if disk == Disk::Refused {
        spend(&mut world.left.refusals)?;
        world.met.add(Met::SettleRefused);
        world.agents[number].change(|agent| agent.process.as_mut().map(Process::refused));
        return Some(());
    }
    let before = world.agents[number].clone();
    let Task::Settle { taken, verdicts } = &before.process.as_ref()?.task else {
        return None;
    };
    world.agents[number].change(|agent| {
        let Agent { process, disk, .. } = agent;
        // Only a new instance could make it refuse, and none is made while an exchange is going on.
        let _ = disk.settle(taken.instance, &taken.gaps, verdicts);
        if let Some(process) = process {
            process.settled(disk);
        }
    });
    queues::after_settling(world, &before, number, taken, verdicts);
    if disk == Disk::WrittenThenKilled {
        world.met.add(Met::CrashAfterSettle);
        return kill(world, number);
    }
    Some(())
}

fn renew(scope: &Scope, world: &mut World, number: usize, disk: Disk) -> Option<()> {
    if disk == Disk::Refused {
        spend(&mut world.left.refusals)?;
        world.met.add(Met::RenewRefused);
        world.agents[number].change(|agent| agent.process.as_mut().map(Process::refused));
        return Some(());
    }
    let before = world.agents[number].clone();
    let renews = !is_sabotaged(scope, Saboteur::NeverRenews);
    world.agents[number].change(|agent| {
        if renews {
            agent.instances_drawn += 1;
            agent
                .disk
                .renew_instance(cast::renewed_instance(number, agent.instances_drawn));
        }
        let Agent { process, disk, .. } = agent;
        if let Some(process) = process {
            process.renewed(disk);
        }
    });
    queues::after_renewing(scope, world, &before, number);
    if disk == Disk::WrittenThenKilled {
        world.met.add(Met::CrashAfterRenew);
        return kill(world, number);
    }
    Some(())
}

/// The process is gone; what it sent is still on its way, and nobody listens.
fn kill(world: &mut World, number: usize) -> Option<()> {
    spend(&mut world.left.crashes)?;
    end(world, number);
    Some(())
}

fn end(world: &mut World, number: usize) {
    world.stop_listening(number);
    world.agents[number].change(|agent| {
        agent.process = None;
        if let Some(synced) = agent.unsynced_since.take() {
            agent.disk = *synced;
        }
    });
}

/// Whoever replaces the database ends the agent first.
fn restore(world: &mut World, number: usize) -> Option<()> {
    end(world, number);
    world.agents[number].change(|agent| {
        agent.disk = *agent.image.take()?;
        Some(())
    })?;
    world.met.add(Met::Restored);
    let lost = world.ledger.confirmed.without(queues::kept(world));
    world.ledger.thrown_away = world.ledger.thrown_away.and(lost);
    Some(())
}
