//! The network: letters arrive in any order, get lost, and reports may arrive twice.

use apollo_agent_core::engine::{Failure, FailureKind};
use apollo_wire::{SequenceRange, Verdicts};

use super::spend;
use crate::{
    action::{Action, Fate},
    cast,
    met::Met,
    rules::queues,
    sabotage::Saboteur,
    scope::Scope,
    shared::Shared,
    world::{
        World,
        agent::{Agent, Task},
        is_sabotaged,
        letter::{Answer, Letter},
        replica::{Replica, Serving},
    },
};

/// What may become of the letters. Of equal letters one is enough, and of idle replicas whose caches show the same the
/// first.
pub(super) fn possible(world: &World, actions: &mut Vec<Action>) {
    let idle: Vec<usize> = idle(world);
    for (place, letter) in world.letters.iter().enumerate() {
        if place > 0 && world.letters[place - 1] == *letter {
            continue;
        }
        let mut add = |fate| actions.push(Action::Letter(place, fate));
        match &**letter {
            Letter::Answer { .. } => add(Fate::Arrives),
            Letter::Report { .. } => {
                for replica in &idle {
                    add(Fate::Reaches(*replica));
                    if world.left.repeats > 0 {
                        add(Fate::ReachesAndGoesOn(*replica));
                    }
                }
            }
        }
        if world.left.losses > 0 {
            add(Fate::Lost);
        }
    }
}

fn idle(world: &World) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    for (number, replica) in world.replicas.iter().enumerate() {
        let alike = |other: &usize| world.replicas[*other] == *replica;
        if replica.serving.is_none() && !found.iter().any(alike) {
            found.push(number);
        }
    }
    found
}

/// Does it.
pub(super) fn step(scope: &Scope, world: &mut World, place: usize, fate: Fate) -> Option<()> {
    let letter = world.letters.get(place)?.clone();
    world.letters.remove(place);
    match (fate, &*letter) {
        (Fate::Lost, _) => spend(&mut world.left.losses),
        (Fate::Arrives, Letter::Answer { to, answer }) => arrive(scope, world, *to, answer),
        (
            Fate::Reaches(replica),
            Letter::Report {
                from,
                awaited,
                report,
            },
        ) => reach(scope, world, replica, *from, *awaited, report),
        (Fate::ReachesAndGoesOn(replica), Letter::Report { from, report, .. }) => {
            spend(&mut world.left.repeats)?;
            // The answer to the copy goes to a connection nobody has.
            reach(scope, world, replica, *from, false, report)?;
            world.letters.insert(place, letter);
            Some(())
        }
        _ => None,
    }
}

fn reach(
    scope: &Scope,
    world: &mut World,
    replica: usize,
    from: usize,
    awaited: bool,
    report: &apollo_wire::Report,
) -> Option<()> {
    let device = cast::device(scope.agents[from].device);
    let serving = Serving::begin(from, awaited, device, report.clone(), scope.policy)?;
    let also = |other: &Shared<Replica>| {
        other
            .serving
            .as_ref()
            .is_some_and(|other| other.report == *report)
    };
    world.met.add_if(
        world.replicas.iter().any(also) && !report.observations.is_empty(),
        Met::Twice,
    );
    world.replicas[replica].change(|replica| replica.serving = Some(serving));
    Some(())
}

fn arrive(scope: &Scope, world: &mut World, to: usize, answer: &Answer) -> Option<()> {
    let report = match answer {
        Answer::Busy if is_sabotaged(scope, Saboteur::BusyTakenForYes) => Ok(yes(&world.agents[to])?),
        Answer::Verdicts(verdicts) => Ok(verdicts.clone()),
        Answer::Refused => Err(Failure::new(FailureKind::Status(403), "refused")),
        Answer::Busy => Err(Failure {
            retry_after: Some(std::time::Duration::from_secs(5)),
            ..Failure::new(FailureKind::Status(503), "busy")
        }),
    };
    let why = world.agents[to].change(|agent| {
        let Agent { process, disk, .. } = agent;
        process
            .as_mut()
            .and_then(|process| process.answered(report, disk))
    });
    if let Some(why) = why {
        // The engine's own words for the three signs.
        world
            .met
            .add_if(why.contains("the next of this queue"), Met::SignNextSequence);
        world
            .met
            .add_if(why.contains("neither took nor refused"), Met::SignSilence);
        world
            .met
            .add_if(why.contains("had offered only"), Met::SignNeverOffered);
    }
    Some(())
}

/// What a saboteur reads in an answer without verdicts.
fn yes(agent: &Agent) -> Option<Verdicts> {
    let Task::Await { taken, .. } = &agent.process.as_ref()?.task else {
        return None;
    };
    Some(Verdicts {
        acked: SequenceRange::collect(taken.sequences.clone()),
        ..queues::no_verdicts()
    })
}
