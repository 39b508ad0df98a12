//! The status of a DeviceProcess as a maximum over observations (DESIGN section 3).
//!
//! The observation with the greatest (epoch, sequence) determines the status and puts its (epoch, sequence)
//! into it: effect and guard are one compare-and-swap. Taking a maximum is idempotent, commutative and
//! associative, so frames may come twice, in pieces, in any order, on any replica.

use apollo_wire::{DeviceName, Observation, ProcessState, UnixMillis};

use crate::{
    conditions::{self, Saying},
    object::{DesiredPhase, DeviceState, ProcessObject, ProcessStatus, SyncPoint},
};

/// An observation that wants to become the status of its process. It has a state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Its place in the device's life.
    pub sync: SyncPoint,
    /// The observation.
    pub observation: Observation,
    /// Its corrected time, if known.
    pub corrected_at: Option<UnixMillis>,
}

/// What a status write means, apart from the version it was computed from: enough to compute it again on a newer
/// version of the object (`writes`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StatusJoin {
    /// The observation that wants to become the status; `None` for a write that only brings conditions in line.
    pub candidate: Option<Candidate>,
    /// The device's state as the writer knew it.
    pub device_state: DeviceState,
    /// How the writer knew it.
    pub state_from: StateSource,
    /// The gateway's time, for receipt and transition times.
    pub now: UnixMillis,
}

impl StatusJoin {
    /// The status `current` should have by this write; `None` if it has it already. The caller has made sure that the
    /// process is bound to the writer's device.
    pub fn onto(&self, current: &ProcessObject) -> Option<ProcessStatus> {
        join_process(current, self.candidate.as_ref(), self.device_state, self.now)
    }
}

/// How a writer knows the device's state, and so whether it may still be said of a newer object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateSource {
    /// The device itself called: whoever wrote meanwhile, this report was received.
    Report,
    /// Its Device was read. Whoever wrote the process meanwhile may have known a later state.
    DeviceObject,
}

/// The status `current` should have, given a candidate from the device it is bound to and that device's
/// state; `None` if it has it already.
///
/// `now` is the gateway's time: receipt and transition times are made of it, nothing else. All fields that
/// come from the observation are a function of the observation alone, but for `observedGeneration`: the
/// generation of the current spec, if that is what the observation names. Conditions are levels, recomputed
/// each time. Fields and conditions of other writers stay as they are.
pub fn join_process(
    current: &ProcessObject,
    candidate: Option<&Candidate>,
    device_state: DeviceState,
    now: UnixMillis,
) -> Option<ProcessStatus> {
    let mut status = current.status.clone();
    if let Some(candidate) = candidate
        && wins(candidate.sync, &current.status, &current.device)
    {
        observe(&mut status, &current.device, candidate, now);
    }
    if status.observed_spec_hash == Some(current.spec.hash()) {
        status.observed_generation = Some(current.generation);
    }
    if let Some(saying) = agent_connected(device_state, &status) {
        conditions::set(&mut status.conditions, saying, None, now);
    }
    if let Some(saying) = ready(current, &status) {
        conditions::set(&mut status.conditions, saying, Some(current.generation), now);
    }
    (status != current.status).then_some(status)
}

/// Whether an observation at `sync` by `device` is later than the one the status holds.
///
/// Positions of different devices do not compare: once a process is bound anew, what the former device saw no
/// longer guards it.
fn wins(sync: SyncPoint, status: &ProcessStatus, device: &DeviceName) -> bool {
    let same_device = status
        .observed_device
        .as_ref()
        .is_none_or(|observed| observed == device);
    match status.sync {
        Some(held) if same_device => sync > held,
        _ => true,
    }
}

/// Replaces every field that comes from an observation.
fn observe(status: &mut ProcessStatus, device: &DeviceName, candidate: &Candidate, now: UnixMillis) {
    let observation = &candidate.observation;
    status.state = observation.state;
    status.observed_spec_hash = observation.spec_hash;
    status.observed_generation = None;
    status.pid = observation.pid;
    status.exit_code = observation.exit_code;
    status.restarts = observation.restarts;
    status.reason.clone_from(&observation.reason);
    status.message.clone_from(&observation.message);
    status.last_observed_time = candidate.corrected_at;
    status.last_report_time = Some(now);
    status.observed_device = Some(device.clone());
    status.sync = Some(candidate.sync);
}

/// What `AgentConnected` should say; `None` leaves it absent.
///
/// A condition that an earlier binding left behind must not go on claiming a connection to a device that
/// never reported.
fn agent_connected(state: DeviceState, status: &ProcessStatus) -> Option<Saying> {
    Saying::of_device(state).or_else(|| {
        conditions::find(&status.conditions, conditions::AGENT_CONNECTED).map(|_| Saying::AgentLost)
    })
}

/// What `Ready` should say; `None` (absent) until something was observed.
fn ready(current: &ProcessObject, status: &ProcessStatus) -> Option<Saying> {
    let state = status.state?;
    let as_desired = match current.wants {
        DesiredPhase::Running => state == ProcessState::Running,
        DesiredPhase::RunningOrSucceeded => matches!(state, ProcessState::Running | ProcessState::Succeeded),
        DesiredPhase::Stopped => state == ProcessState::Stopped,
    };
    Some(match status.observed_spec_hash {
        None => Saying::SpecUnknown,
        Some(hash) if hash != current.spec.hash() => Saying::SpecOutdated,
        Some(_) if as_desired => Saying::Ready,
        Some(_) => Saying::NotAsDesired,
    })
}
