//! What a link does to one message: cuts, losses, delays.

use rand::Rng;

use super::Message;
use crate::{
    plan::{Disturbance, Millis},
    world::Context,
};

/// One way over a good link, milliseconds: from a wire in the same town to a satellite.
const GOOD_MS: std::ops::Range<Millis> = 5..300;

/// Whether nothing passes this way at all.
pub(super) fn is_cut(context: &Context, message: &Message) -> bool {
    context
        .disturbances
        .values()
        .any(|disturbance| match disturbance {
            Disturbance::Blackout { machine } => *machine == message.machine,
            Disturbance::Partition {
                machine,
                replica,
                up,
                down,
            } => {
                *machine == message.machine
                    && *replica == message.replica
                    && if message.goes_up() { *up } else { *down }
            }
            _ => false,
        })
}

/// Whether this message is lost by chance.
pub(super) fn is_lost(context: &mut Context, message: &Message) -> bool {
    let Context {
        disturbances, chance, ..
    } = context;
    disturbances.values().any(|disturbance| match disturbance {
        Disturbance::Loss { machine, percent } => {
            is_meant(*machine, message) && chance.network.random_ratio(u32::from(*percent).min(100), 100)
        }
        _ => false,
    })
}

/// How long this message takes.
pub(super) fn delay(context: &mut Context, message: &Message) -> Millis {
    let Context {
        disturbances, chance, ..
    } = context;
    let more = disturbances.values().map(|disturbance| match disturbance {
        Disturbance::Delay { machine, up_to_ms } if is_meant(*machine, message) => {
            chance.network.random_range(0..=*up_to_ms)
        }
        _ => 0,
    });
    let more: Millis = more.sum();
    chance.network.random_range(GOOD_MS) + more
}

fn is_meant(machine: Option<usize>, message: &Message) -> bool {
    machine.is_none_or(|machine| machine == message.machine)
}
