//! What a report changes in its Device, written as rarely as liveness allows.
//!
//! A device may report every second; its Device object is written at most once per third of its staleness
//! window unless something people or liveness depend on has changed. Everything else rides along with the
//! next write.

use apollo_wire::{InstanceId, QueueDepth, Report, Sequence, UnixMillis};

use crate::{
    conditions::{self, Saying},
    liveness::Windows,
    object::{DeviceObject, DeviceState, DeviceStatus},
    policy::Policy,
    time::ClockReading,
};

/// What a report says about the device itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeviceFacts {
    /// The instance that reports.
    pub instance: InstanceId,
    /// When it sent, when we received.
    pub clock: ClockReading,
    /// When it means to call next.
    pub next_contact_at: Option<UnixMillis>,
    /// Its queue once the rows of this report have left it, if it said so.
    pub queue: Option<QueueDepth>,
    /// Its agent's version, if it said so.
    pub agent_version: Option<String>,
}

impl DeviceFacts {
    /// Takes them from a report.
    pub fn of(report: &Report, clock: ClockReading) -> Self {
        let in_ms = |seconds: u32| i64::from(seconds) * 1000;
        let carried = report.observations.len() + report.malformed.len();
        let left = |queue: QueueDepth| QueueDepth {
            pending: queue.pending.saturating_sub(carried as u64),
            ..queue
        };
        Self {
            instance: report.instance,
            clock,
            next_contact_at: report
                .next_contact_seconds
                .map(|seconds| clock.received_at.plus(in_ms(seconds))),
            queue: report.queue.map(left),
            agent_version: report.agent_version.clone(),
        }
    }
}

/// The status the Device should have after this report, or `None` if writing it can wait.
///
/// `settled` is the highest sequence this exchange has settled, 0 if none. A write happens now if the device
/// was not Connected, its agent's version changed, its clock became (un)synchronized, its queue dropped more
/// or ran empty, the recorded times would have liveness judged wrongly (see [`Windows::misjudges`]), or a third of the
/// window has passed since the last.
pub fn join_device(
    current: &DeviceObject,
    facts: &DeviceFacts,
    settled: Sequence,
    policy: &Policy,
) -> Option<DeviceStatus> {
    let windows = Windows::of(policy.stale_after_of_ms(current));
    let mut status = current.status.clone();
    let material = record_material(&mut status, facts, policy);
    let due = windows.heartbeat_due(&current.status, facts.clock.received_at)
        || windows.misjudges(&current.status, facts.clock.received_at, facts.next_contact_at);
    if !(material || due) {
        return None;
    }
    ride_along(&mut status, facts, settled);
    Some(status)
}

/// The status of a Device that is created or gains an instance by this report: everything is recorded.
pub fn record_all(status: &mut DeviceStatus, facts: &DeviceFacts, policy: &Policy) {
    record_material(status, facts, policy);
    ride_along(status, facts, 0);
}

/// Records what must not wait; returns whether it changed anything.
fn record_material(status: &mut DeviceStatus, facts: &DeviceFacts, policy: &Policy) -> bool {
    let mut changed = status.state != DeviceState::Connected;
    status.state = DeviceState::Connected;
    if facts.agent_version.is_some() && status.agent_version != facts.agent_version {
        status.agent_version.clone_from(&facts.agent_version);
        changed = true;
    }
    let (was, is) = (status.queue.unwrap_or_default(), facts.queue);
    changed |= is.is_some_and(|is| is.dropped > was.dropped);
    // The end of a drain: without it the Device would go on showing thousands of rows that have long arrived.
    changed |= is.is_some_and(|is| is.pending == 0) && was.pending > 0;
    let saying = clock_saying(status, facts.clock.skew_ms(), policy);
    changed | conditions::set(&mut status.conditions, saying, None, facts.clock.received_at)
}

/// Whether the clock is synchronized, with hysteresis: once it is not, it must come within half the
/// tolerance, so that a clock at the edge does not write at every report.
fn clock_saying(status: &DeviceStatus, skew_ms: i64, policy: &Policy) -> Saying {
    let skewed = conditions::find(&status.conditions, conditions::CLOCK_SYNCHRONIZED)
        .is_some_and(|condition| condition.status == "False");
    let tolerance_ms = if skewed {
        policy.clock_tolerance_ms / 2
    } else {
        policy.clock_tolerance_ms
    };
    if skew_ms.unsigned_abs() <= tolerance_ms {
        Saying::ClockSynchronized
    } else {
        Saying::ClockSkewed
    }
}

/// Records what is not worth a write of its own.
fn ride_along(status: &mut DeviceStatus, facts: &DeviceFacts, settled: Sequence) {
    status.last_heartbeat_time = Some(facts.clock.received_at);
    status.next_contact_time = facts.next_contact_at;
    status.clock_skew_ms = Some(facts.clock.skew_ms());
    if facts.queue.is_some() {
        status.queue = facts.queue;
    }
    if let Some(entry) = status
        .instances
        .iter_mut()
        .find(|entry| entry.id == facts.instance)
    {
        entry.highest_sequence = entry.highest_sequence.max(settled);
    }
}
