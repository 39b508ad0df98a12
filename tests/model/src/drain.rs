//! R-11 as a property of the whole graph: from every state that can be reached, everything drains once nothing goes wrong
//! any more.
//!
//! The checker's own `eventually` looks at paths that end, and here none does: a device calls for ever. So each state is
//! followed by the one way a healing world goes: agents start, the operator lets blocked devices in, caches catch up, each
//! replica finishes its report, letters arrive, agents do what they have in hand. That way must end in a drained state. It
//! leads through states of the same graph, so a way need only be followed until it meets one that is known to drain, and
//! all of it costs one step per state.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

use crate::{
    action::{Action, AgentStep, Disk, Fate, Fault, Outside},
    rules::states,
    scope::Scope,
    shared, steps,
    world::World,
};

/// Which states are known to drain, and which not.
#[derive(Debug, Default)]
pub struct Drains {
    known: Mutex<HashMap<u64, bool>>,
}

impl Drains {
    /// Whether the healing way from `world` ends in a drained state.
    pub fn drains(&self, scope: &Scope, world: &World) -> bool {
        let mut way = HashSet::new();
        let mut world = world.clone();
        let drains = loop {
            let print = shared::digest(&world);
            if let Some(drains) = self.known(print) {
                break drains;
            }
            let goes_in_circles = !way.insert(print);
            if states::is_drained(&world) {
                break true;
            }
            match heal(scope, &world) {
                Some(next) if !goes_in_circles => world = next,
                _ => break false,
            }
        };
        if let Ok(mut known) = self.known.lock() {
            known.extend(way.into_iter().map(|print| (print, drains)));
        }
        drains
    }

    fn known(&self, print: u64) -> Option<bool> {
        self.known.lock().ok()?.get(&print).copied()
    }
}

/// The next step of a world in which nothing goes wrong any more.
pub fn heal(scope: &Scope, world: &World) -> Option<World> {
    let mut actions = Vec::new();
    steps::possible(scope, world, &mut actions);
    let heals = |action: &&Action| match action {
        Action::Agent(number, step) => match step {
            AgentStep::Call(Disk::Written) => has_to_call(world, *number),
            AgentStep::Settle(Disk::Written) | AgentStep::Renew(Disk::Written) | AgentStep::Start => true,
            AgentStep::GiveUp => !world.is_awaited(*number),
            _ => false,
        },
        Action::Letter(_, fate) => matches!(fate, Fate::Reaches(_) | Fate::Arrives),
        Action::Store(_, fault) | Action::Sent(fault) => *fault == Fault::None,
        Action::Send => true,
        Action::Outside(outside) => matches!(outside, Outside::Unblock(_) | Outside::CatchUp(_)),
    };
    let urgency = |action: &&Action| match action {
        Action::Outside(_) => 0,
        Action::Agent(_, AgentStep::Start) => 1,
        Action::Store(..) | Action::Send | Action::Sent(_) => 2,
        Action::Letter(..) => 3,
        Action::Agent(..) => 4,
    };
    let action = actions.iter().filter(heals).min_by_key(urgency)?;
    steps::next(scope, world, *action)
}

/// An agent at rest calls if something waits; others have a call to make.
fn has_to_call(world: &World, number: usize) -> bool {
    let agent = &world.agents[number];
    let Some(process) = &agent.process else {
        return false;
    };
    !agent.has_nothing_to_say() || !matches!(process.task, crate::world::agent::Task::Rest)
}
