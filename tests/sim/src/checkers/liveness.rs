//! Liveness in the end: who reports is not Lost, who has gone is, and every process says the same as its device.

use apollo_gateway_core::object::{DeviceObject, DeviceState};

use super::{Checker, End, Verdict, hold};

/// Looks at the end alone.
pub(super) struct Liveness;

impl Checker for Liveness {
    fn at_end(&mut self, end: &End<'_>) -> Verdict {
        for read in end.store.objects.devices() {
            let device = &read.object;
            let mut machines = end
                .machines
                .iter()
                .filter(|machine| machine.device == device.device);
            let reports = machines.any(|machine| machine.is_running);
            let stale_ms = device.stale_after_ms.unwrap_or(end.policy.stale_after_ms);
            let (state, name) = (device.status.state, &device.device);
            let expected: &[DeviceState] = match (reports, device.status.last_heartbeat_time) {
                // Between two contacts further apart than the window it sleeps.
                (true, _) if end.heartbeat_ms > stale_ms => &[DeviceState::Connected, DeviceState::Sleeping],
                (true, _) => &[DeviceState::Connected],
                (false, Some(_)) => &[DeviceState::Lost],
                (false, None) => &[DeviceState::Unknown],
            };
            hold(expected.contains(&state), "R-11", end.at_ms, || {
                format!("{name} is {state:?}, expected {expected:?}")
            })?;
            conditions_agree(end, device)?;
        }
        for machine in end.machines.iter().filter(|machine| machine.is_running) {
            let device = end.store.objects.device(&machine.device);
            hold(device.is_some(), "R-11", end.at_ms, || {
                format!("{} reports and has no Device", machine.device)
            })?;
        }
        Ok(())
    }
}

fn conditions_agree(end: &End<'_>, device: &DeviceObject) -> Verdict {
    let expected = match device.status.state {
        DeviceState::Connected | DeviceState::Sleeping => Some("True"),
        DeviceState::Lost | DeviceState::Blocked => Some("False"),
        DeviceState::Unknown => None,
    };
    let bound = end.store.objects.processes().map(|read| &read.object);
    for process in bound.filter(|process| process.device == device.device) {
        let connected = process.status.conditions.iter();
        let found = connected
            .filter(|condition| condition.kind == "AgentConnected")
            .map(|condition| condition.status.as_str())
            .next();
        hold(expected.is_none() || found == expected, "R-11", end.at_ms, || {
            format!(
                "{} is {:?}, and AgentConnected of {} is {found:?}",
                device.device, device.status.state, process.process
            )
        })?;
    }
    Ok(())
}
