//! What must hold in every state.

use apollo_gateway_core::object::SyncPoint;

use super::queues;
use crate::{
    cast,
    scope::Scope,
    world::{
        World,
        agent::{Agent, Process, Task},
    },
};

/// what was confirmed is on a disk, in history, a dead letter, or in a gap record; only an operator
/// who restores an older database can throw it away.
pub fn nothing_is_lost(world: &World) -> bool {
    let expected = world.ledger.confirmed.without(world.ledger.thrown_away);
    expected.without(queues::kept(world)).is_empty()
}

/// the fields and the condition of the other controller say what it last wrote.
pub fn foreign_fields_are_kept(scope: &Scope, world: &World) -> bool {
    (0..scope.bindings.len()).all(|process| {
        let count = world.ledger.foreign_writes[process];
        let Some(status) = world.status(process).filter(|_| count > 0) else {
            return true;
        };
        let condition = status
            .conditions
            .iter()
            .find(|condition| condition.kind == "Foreign");
        status.foreign.get("others") == Some(&serde_json::json!(count))
            && condition.is_some_and(|condition| condition.message == count.to_string())
    })
}

/// whoever runs has an operation running or a timer armed.
pub fn somebody_will_go_on(world: &World) -> bool {
    world
        .agents
        .iter()
        .filter_map(|agent| agent.process.as_ref())
        .all(Process::will_go_on)
}

/// Everything has arrived and nothing moves.
pub fn is_drained(world: &World) -> bool {
    let idle = world.replicas.iter().all(|replica| replica.serving.is_none());
    let at_rest = world.agents.iter().all(|agent| {
        let rests = |process: &Process| matches!(process.task, Task::Rest);
        agent.process.as_ref().is_some_and(rests) && agent.has_nothing_to_say()
    });
    idle && at_rest && world.letters.is_empty()
}

/// once all has arrived, a status is the maximum of what history has. Not where an operator had a hand in it: what a
/// thrown-away disk sent in part may stay in history alone, and so may what was settled for another binding.
pub fn statuses_are_the_maximum(scope: &Scope, world: &World) -> bool {
    let budget = &scope.budget;
    if budget.images + budget.rebinds + budget.deletions > 0 || !is_drained(world) {
        return true;
    }
    let contents = world.store.contents();
    (0..scope.bindings.len()).all(|number| {
        let process = cast::process(number);
        let rows = contents
            .history
            .rows()
            .filter(|(_, _, entry)| entry.row.observation.process == process && !entry.row.orphaned);
        let greatest = rows
            .filter_map(|(device, instance, entry)| {
                let epoch = contents.history.epoch(device, instance)?;
                let sequence = entry.row.observation.seq;
                (epoch > 0).then_some((SyncPoint { epoch, sequence }, entry.row.observation.pid))
            })
            .max();
        let status = world.status(number);
        let held = status.and_then(|status| status.sync.map(|sync| (sync, status.pid)));
        held == greatest
    })
}

/// two clones that have both told of something of their own are two instances in the end.
pub fn clones_have_parted(scope: &Scope, world: &World) -> bool {
    if !scope.has_clones() || !is_drained(world) {
        return true;
    }
    let [one, other] = world.agents.as_slice() else {
        return true;
    };
    let told = |agent: &Agent| agent.observed > 0;
    !(told(one) && told(other)) || one.disk.instance() != other.disk.instance()
}
