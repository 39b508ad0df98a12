//! What each action does: the part of a driver, a network or an operator that stands between the real machines.

mod agents;
mod letters;
mod outside;
mod queue;
mod replicas;

use crate::{action::Action, met::MetSet, scope::Scope, world::World};

/// The state after an action that is possible in `world`; `None` if it is not.
pub fn next(scope: &Scope, world: &World, action: Action) -> Option<World> {
    let mut after = world.clone();
    after.met = MetSet::default();
    match action {
        Action::Agent(agent, step) => agents::step(scope, &mut after, agent, step)?,
        Action::Letter(place, fate) => letters::step(scope, &mut after, place, fate)?,
        Action::Store(replica, fault) => replicas::step(scope, &mut after, replica, fault)?,
        Action::Send => queue::send(scope, &mut after)?,
        Action::Sent(fault) => queue::sent(scope, &mut after, fault)?,
        Action::Outside(outside) => outside::step(scope, &mut after, outside)?,
    }
    Some(after)
}

/// All actions that are possible in `world`, in the order in which a healing world does them.
pub fn possible(scope: &Scope, world: &World, actions: &mut Vec<Action>) {
    agents::possible(world, actions);
    replicas::possible(scope, world, actions);
    queue::possible(world, actions);
    letters::possible(world, actions);
    outside::possible(scope, world, actions);
}

/// Takes one from a part of the budget; `None` if there is none left.
fn spend(left: &mut u8) -> Option<()> {
    *left = left.checked_sub(1)?;
    Some(())
}
