//! The operator, another controller, and the watch caches.

use apollo_gateway_core::object::Condition;

use super::spend;
use crate::{
    action::{Action, Outside},
    cast,
    scope::Scope,
    world::{World, replica::Replica},
};

/// What others may do.
pub(super) fn possible(scope: &Scope, world: &World, actions: &mut Vec<Action>) {
    let mut add = |outside| actions.push(Action::Outside(outside));
    let objects = &world.store.contents().objects;
    for device in 0..2 {
        let Some(found) = objects.device(&cast::device(device)) else {
            continue;
        };
        if found.object.blocked {
            add(Outside::Unblock(device));
        } else if world.left.blocks > 0 {
            add(Outside::Block(device));
        }
        // Not while a report is in work: docs/rules.md says what then may happen to epochs.
        let idle = world.replicas.iter().all(|replica| replica.serving.is_none());
        if world.left.deletions > 0 && idle {
            add(Outside::Delete(device));
        }
    }
    for process in 0..scope.bindings.len() {
        if world.left.foreign_writes > 0 {
            add(Outside::ForeignWrite(process));
        }
        if world.left.rebinds > 0 {
            add(Outside::Rebind(process));
        }
    }
    for (number, replica) in world.replicas.iter().enumerate() {
        if replica.cache.is_some() {
            add(Outside::CatchUp(number));
        } else if world.left.lags > 0 {
            add(Outside::Lag(number));
        }
    }
}

/// Does it.
pub(super) fn step(scope: &Scope, world: &mut World, outside: Outside) -> Option<()> {
    match outside {
        Outside::ForeignWrite(process) => {
            spend(&mut world.left.foreign_writes)?;
            foreign_write(world, process);
        }
        Outside::Block(device) => {
            spend(&mut world.left.blocks)?;
            block(world, device, true);
        }
        Outside::Unblock(device) => block(world, device, false),
        Outside::Rebind(process) => {
            spend(&mut world.left.rebinds)?;
            rebind(scope, world, process)?;
        }
        Outside::Delete(device) => {
            spend(&mut world.left.deletions)?;
            let device = cast::device(device);
            world
                .store
                .change(|store| store.edit(|objects| _ = objects.delete_device(&device)));
        }
        Outside::Lag(replica) => {
            spend(&mut world.left.lags)?;
            let snapshot = Box::new(world.store.snapshot());
            world.replicas[replica].change(|replica| replica.cache = Some(snapshot));
        }
        Outside::CatchUp(replica) => world.replicas[replica].change(|replica| replica.cache = None),
    }
    Some(())
}

/// Another controller's field and condition both count its writes.
fn foreign_write(world: &mut World, process: usize) {
    world.ledger.foreign_writes[process] += 1;
    let count = world.ledger.foreign_writes[process];
    let name = cast::process(process);
    world.store.change(|store| {
        store.edit(|objects| {
            objects.edit_process(&name, |object| {
                object
                    .status
                    .foreign
                    .insert("others".into(), serde_json::json!(count));
                object
                    .status
                    .conditions
                    .retain(|condition| condition.kind != "Foreign");
                object.status.conditions.insert(
                    0,
                    Condition {
                        kind: "Foreign".into(),
                        status: "True".into(),
                        reason: "Theirs".into(),
                        message: count.to_string(),
                        last_transition_time: None,
                        observed_generation: None,
                    },
                );
            });
        });
    });
}

fn block(world: &mut World, device: usize, blocked: bool) {
    let device = cast::device(device);
    world.store.change(|store| {
        store.edit(|objects| _ = objects.edit_device(&device, |object| object.blocked = blocked));
    });
}

fn rebind(scope: &Scope, world: &mut World, process: usize) -> Option<()> {
    let name = cast::process(process);
    let bound_to = world
        .store
        .contents()
        .objects
        .process(&name)?
        .object
        .device
        .clone();
    let other = usize::from(bound_to == cast::device(0));
    debug_assert!(process < scope.bindings.len());
    world.store.change(|store| {
        store.edit(|objects| {
            objects.edit_process(&name, |object| {
                object.device = cast::device(other);
                object.generation += 1;
            });
        });
    });
    for replica in &mut world.replicas {
        if replica.serving.is_some() {
            replica.change(|replica: &mut Replica| {
                if let Some(serving) = &mut replica.serving {
                    serving.rebound = true;
                }
            });
        }
    }
    Some(())
}
