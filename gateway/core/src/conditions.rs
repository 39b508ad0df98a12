//! Every condition the gateway writes, in one place: whoever writes one, its words are the same.

use apollo_wire::UnixMillis;

use crate::object::{Condition, DeviceState};

/// The type of the condition that says whether a process's agent reports.
pub const AGENT_CONNECTED: &str = "AgentConnected";
/// The type of the condition that says whether a process is as its spec wants it.
pub const READY: &str = "Ready";
/// The type of the condition that says whether a device's clock can be trusted.
pub const CLOCK_SYNCHRONIZED: &str = "ClockSynchronized";

/// One thing the gateway can say in a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saying {
    /// The device reports as expected, or sleeps as announced.
    AgentConnected,
    /// The device does not report.
    AgentLost,
    /// The device may not report.
    AgentBlocked,
    /// The process is as its spec wants it.
    Ready,
    /// The process is not (or not yet, or no longer) as its spec wants it.
    NotAsDesired,
    /// The last observation is about another spec than the current one.
    SpecOutdated,
    /// The last observation does not say which spec it is about.
    SpecUnknown,
    /// The device's clock agrees with the gateway's.
    ClockSynchronized,
    /// It does not.
    ClockSkewed,
}

impl Saying {
    /// (type, status, reason, message): fixed, part of the contract.
    pub fn words(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::AgentConnected => (AGENT_CONNECTED, "True", "AgentConnected", "agent connected"),
            Self::AgentLost => (
                AGENT_CONNECTED,
                "False",
                "AgentLost",
                "no report within the expected window",
            ),
            Self::AgentBlocked => (AGENT_CONNECTED, "False", "AgentBlocked", "device is blocked"),
            Self::Ready => (
                READY,
                "True",
                "AsDesired",
                "the process is in the state its spec asks for",
            ),
            Self::NotAsDesired => (
                READY,
                "False",
                "NotAsDesired",
                "the process is not in the state its spec asks for",
            ),
            Self::SpecOutdated => (
                READY,
                "False",
                "SpecOutdated",
                "the device has not reported on the current spec yet",
            ),
            Self::SpecUnknown => (
                READY,
                "Unknown",
                "SpecUnknown",
                "the last observation does not name the spec it is about",
            ),
            Self::ClockSynchronized => (
                CLOCK_SYNCHRONIZED,
                "True",
                "ClockSynchronized",
                "the device's clock agrees with the gateway's",
            ),
            Self::ClockSkewed => (
                CLOCK_SYNCHRONIZED,
                "False",
                "ClockSkewed",
                "the device's clock differs from the gateway's",
            ),
        }
    }

    /// What a device's state means for the `AgentConnected` of its processes.
    ///
    /// A sleeping device is within the window it announced. A device that never reported says nothing: the
    /// condition is absent until first contact.
    pub fn of_device(state: DeviceState) -> Option<Self> {
        match state {
            DeviceState::Connected | DeviceState::Sleeping => Some(Self::AgentConnected),
            DeviceState::Lost => Some(Self::AgentLost),
            DeviceState::Blocked => Some(Self::AgentBlocked),
            DeviceState::Unknown => None,
        }
    }
}

/// The condition of one type, if it is there.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// Puts a condition in its place, or adds it at the end. Returns whether anything changed.
///
/// `lastTransitionTime` moves only with the status (Kubernetes API conventions, "Typical status properties").
/// `generation` is what `observedGeneration` becomes; with `None` the field is left as it is.
/// Conditions of other types, in whatever order, are never touched.
pub fn set(
    conditions: &mut Vec<Condition>,
    saying: Saying,
    generation: Option<i64>,
    now: UnixMillis,
) -> bool {
    let (kind, status, reason, message) = saying.words();
    let Some(condition) = conditions.iter_mut().find(|condition| condition.kind == kind) else {
        conditions.push(Condition {
            kind: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message: message.into(),
            last_transition_time: Some(now.to_string()),
            observed_generation: generation,
        });
        return true;
    };
    let generation = generation.or(condition.observed_generation);
    if condition.status == status
        && condition.reason == reason
        && condition.message == message
        && condition.observed_generation == generation
    {
        return false;
    }
    if condition.status != status {
        condition.status = status.into();
        condition.last_transition_time = Some(now.to_string());
    }
    condition.reason = reason.into();
    condition.message = message.into();
    condition.observed_generation = generation;
    true
}
