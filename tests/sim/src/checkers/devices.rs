//! R-06 for Devices: nothing is written that could wait.

use apollo_gateway_core::object::{DeviceObject, DeviceStatus};

use super::{Checker, Verdict, hold};
use crate::facts::{Fact, TimedFact, Writer};

/// Needs nothing but the write.
pub(super) struct Devices;

/// `--stale-after`, where a Device says nothing else.
const STALE_AFTER_MS: u64 = 90_000;

impl Checker for Devices {
    fn on_fact(&mut self, fact: &TimedFact) -> Verdict {
        let Fact::DeviceChanged {
            by,
            before: Some(before),
            after: Some(after),
        } = &fact.fact
        else {
            return Ok(());
        };
        let device = &after.device;
        match by {
            Writer::Reconcile(..) => {
                let with_state_of_after = DeviceStatus {
                    state: after.status.state,
                    ..before.status.clone()
                };
                let only_state = with_state_of_after == after.status && before.status != after.status;
                hold(only_state, "R-06", fact.at_ms, || {
                    format!("marking {device} changed more, or less, than its state")
                })
            }
            Writer::Exchange(..) => hold(
                is_material(&before.status, &after.status) || is_due(before, &after.status),
                "R-06",
                fact.at_ms,
                || format!("{device} was written although it could wait: {before:?} {after:?}"),
            ),
            Writer::Operator | Writer::Foreign => Ok(()),
        }
    }
}

/// Something that people or liveness depend on.
fn is_material(before: &DeviceStatus, after: &DeviceStatus) -> bool {
    let queue = |status: &DeviceStatus| status.queue.unwrap_or_default();
    let instances = |status: &DeviceStatus| -> Vec<_> {
        status
            .instances
            .iter()
            .map(|entry| (entry.id, entry.epoch))
            .collect()
    };
    before.state != after.state
        || before.agent_version != after.agent_version
        || before.conditions != after.conditions
        || instances(before) != instances(after)
        || queue(after).dropped > queue(before).dropped
        || (queue(before).pending > 0 && queue(after).pending == 0)
}

/// A third of the staleness window has passed, or the end of the device's patience has moved by as much.
fn is_due(before: &DeviceObject, after: &DeviceStatus) -> bool {
    let stale_ms = before.stale_after_ms.unwrap_or(STALE_AFTER_MS).max(3);
    let third_ms = stale_ms / 3;
    let times = (before.status.last_heartbeat_time, after.last_heartbeat_time);
    let (Some(was), Some(is)) = times else {
        return true;
    };
    let lost_at = |status: &DeviceStatus, heartbeat: apollo_wire::UnixMillis| {
        let announced = status.next_contact_time.map_or(0, |next| next.since(heartbeat));
        let window = (stale_ms + third_ms).cast_signed();
        heartbeat.get() + window.max(announced + 2 * third_ms.cast_signed())
    };
    is.since(was).unsigned_abs() >= third_ms
        || (lost_at(after, is) - lost_at(&before.status, was)).unsigned_abs() > third_ms
}
