//! Who has been silent too long, by this replica's own monotonic clock.
//!
//! As in leader election, a replica counts from the moment *it* last saw a Device's heartbeat value change,
//! so the wall clocks of replicas need not agree. Each replica tracks every device; the first whose
//! compare-and-swap succeeds marks it. The tracker only ever moves a device down (Connected, Sleeping, Lost)
//! or in and out of Blocked: up again is the business of a report alone.

use std::collections::{BTreeSet, HashMap};

use apollo_wire::{DeviceName, UnixMillis};

use crate::{
    liveness::Windows,
    object::{DeviceObject, DeviceState, DeviceStatus, ProcessObject, ResourceVersion, Versioned},
    policy::Policy,
    reconcile::{Reconciled, repaired},
};

/// A point on this replica's monotonic clock: milliseconds since any fixed moment of the process.
pub type MonotonicMs = u64;

/// Something to be done about one device, by [`crate::reconcile::Reconcile`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Task {
    /// Which.
    pub device: DeviceName,
    /// Its new state, if it must change.
    pub marking: Option<Marking>,
}

/// A compare-and-swap of a Device's state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Marking {
    /// The version the decision was made from.
    pub expected: ResourceVersion,
    /// Its status with only the state changed.
    pub status: DeviceStatus,
}

/// All devices this replica knows of, each with the time it needs a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracker {
    policy: Policy,
    devices: HashMap<DeviceName, Watched>,
    /// Each device's next look, soonest first.
    looks: BTreeSet<(MonotonicMs, DeviceName)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Watched {
    /// `None` while only processes of it are known.
    seen: Option<Versioned<DeviceObject>>,
    heartbeat: Option<UnixMillis>,
    heartbeat_changed_ms: MonotonicMs,
    /// Some process of it may need repair.
    repair: bool,
    look_at_ms: Option<MonotonicMs>,
}

impl Tracker {
    /// Knows nobody yet.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            devices: HashMap::new(),
            looks: BTreeSet::new(),
        }
    }

    /// A Device was told of by the watch: at the start, or because somebody wrote it.
    pub fn device_seen(&mut self, seen: &Versioned<DeviceObject>, now_ms: MonotonicMs) {
        let device = seen.object.device.clone();
        let watched = self
            .devices
            .entry(device.clone())
            .or_insert_with(|| Watched::new(now_ms));
        let heartbeat = seen.object.status.last_heartbeat_time;
        if watched.heartbeat != heartbeat {
            watched.heartbeat = heartbeat;
            watched.heartbeat_changed_ms = now_ms;
        }
        let state = |seen: &Versioned<DeviceObject>| seen.object.status.state;
        watched.repair |= watched.seen.as_ref().map(state) != Some(state(seen));
        watched.seen = Some(seen.clone());
        let look_at_ms = watched.next_look_ms(&self.policy, now_ms);
        self.look_at(&device, look_at_ms);
    }

    /// A Device is gone. Its processes are to be looked at once more.
    pub fn device_gone(&mut self, device: &DeviceName, now_ms: MonotonicMs) {
        if let Some(watched) = self.devices.get_mut(device) {
            watched.seen = None;
            watched.heartbeat = None;
            watched.repair = true;
            self.look_at(device, Some(now_ms.saturating_add(self.policy.repair_after_ms)));
        }
    }

    /// A DeviceProcess was told of by the watch. If its conditions are not what its device's state and its
    /// spec ask for, its device gets a look, after the time in which whoever is at work on it should be done.
    pub fn process_seen(&mut self, process: &ProcessObject, now_ms: MonotonicMs) {
        let state = self.state_of(&process.device);
        if repaired(process, state, UnixMillis::default()).is_none() {
            return;
        }
        let watched = self
            .devices
            .entry(process.device.clone())
            .or_insert_with(|| Watched::new(now_ms));
        watched.repair = true;
        let look_at_ms = watched.next_look_ms(&self.policy, now_ms);
        self.look_at(&process.device, look_at_ms);
    }

    /// A task has been worked on. What it left undone comes back after [`Policy::repair_after_ms`].
    pub fn reconciled(&mut self, device: &DeviceName, done: &Reconciled, now_ms: MonotonicMs) {
        if done.complete {
            return;
        }
        let watched = self
            .devices
            .entry(device.clone())
            .or_insert_with(|| Watched::new(now_ms));
        watched.repair = true;
        // Not at once, also where a marking is due: a write that lost is hopeless until the watch has told what won.
        let not_before_ms = now_ms.saturating_add(self.policy.repair_after_ms);
        let look_at_ms = watched.next_look_ms(&self.policy, now_ms);
        self.look_at(device, look_at_ms.map(|at_ms| at_ms.max(not_before_ms)));
    }

    /// The recorded state of a device, as this replica last saw it.
    pub fn state_of(&self, device: &DeviceName) -> DeviceState {
        let seen = self.devices.get(device).and_then(|watched| watched.seen.as_ref());
        seen.map_or(DeviceState::Unknown, |seen| seen.object.status.state)
    }

    /// When [`Self::due`] next has something; `None` if never without news.
    pub fn next_deadline_ms(&self) -> Option<MonotonicMs> {
        self.looks.first().map(|(look_at_ms, _)| *look_at_ms)
    }

    /// What is to be done now: at most [`Policy::repairs_at_once`] tasks; the rest comes with the next call.
    /// A marking is handed out again after [`Policy::repair_after_ms`] unless the watch has told of its
    /// effect by then.
    pub fn due(&mut self, now_ms: MonotonicMs) -> Vec<Task> {
        let mut tasks = Vec::new();
        while tasks.len() < self.policy.repairs_at_once {
            let Some((look_at_ms, device)) = self.looks.first().cloned() else {
                break;
            };
            if look_at_ms > now_ms {
                break;
            }
            self.looks.pop_first();
            tasks.extend(self.look(device, now_ms));
        }
        tasks
    }

    /// Looks at one device: what is to be done about it, and when to look again.
    fn look(&mut self, device: DeviceName, now_ms: MonotonicMs) -> Option<Task> {
        let watched = self.devices.get_mut(&device)?;
        watched.look_at_ms = None;
        let marking = watched.marking(&self.policy, now_ms);
        let repair = std::mem::take(&mut watched.repair);
        let look_at_ms = match &marking {
            Some(_) => Some(now_ms.saturating_add(self.policy.repair_after_ms.max(1))),
            None => watched.next_look_ms(&self.policy, now_ms),
        };
        if watched.seen.is_none() {
            self.devices.remove(&device);
        } else {
            self.look_at(&device, look_at_ms);
        }
        (marking.is_some() || repair).then_some(Task { device, marking })
    }

    /// Moves a device's look, keeping one per device.
    fn look_at(&mut self, device: &DeviceName, look_at_ms: Option<MonotonicMs>) {
        let Some(watched) = self.devices.get_mut(device) else {
            return;
        };
        let former = std::mem::replace(&mut watched.look_at_ms, look_at_ms);
        if let Some(former_ms) = former {
            self.looks.remove(&(former_ms, device.clone()));
        }
        if let Some(look_at_ms) = look_at_ms {
            self.looks.insert((look_at_ms, device.clone()));
        }
    }
}

impl Watched {
    fn new(now_ms: MonotonicMs) -> Self {
        Self {
            seen: None,
            heartbeat: None,
            heartbeat_changed_ms: now_ms,
            repair: false,
            look_at_ms: None,
        }
    }

    /// The state the Device should have now.
    fn judged(&self, policy: &Policy, now_ms: MonotonicMs) -> Option<DeviceState> {
        let object = &self.seen.as_ref()?.object;
        if object.blocked {
            return Some(DeviceState::Blocked);
        }
        let silent_ms = now_ms.saturating_sub(self.heartbeat_changed_ms);
        let by_silence = Windows::of(policy.stale_after_of_ms(object)).state_after(&object.status, silent_ms);
        Some(match (object.status.state, by_silence) {
            (_, DeviceState::Unknown) => DeviceState::Unknown,
            // Unblocked: whatever it sent meanwhile was refused, so it is silent until its next report. And
            // Lost stays so: that this replica has begun to count only now is no report.
            (DeviceState::Blocked | DeviceState::Lost, _) => DeviceState::Lost,
            (DeviceState::Sleeping, DeviceState::Connected) => DeviceState::Sleeping,
            (_, by_silence) => by_silence,
        })
    }

    /// The write that gives the Device the state it should have.
    fn marking(&self, policy: &Policy, now_ms: MonotonicMs) -> Option<Marking> {
        let seen = self.seen.as_ref()?;
        let state = self.judged(policy, now_ms)?;
        (state != seen.object.status.state).then(|| Marking {
            expected: seen.version.clone(),
            status: DeviceStatus {
                state,
                ..seen.object.status.clone()
            },
        })
    }

    /// When this device needs a look: at once if its state is wrong, soon if its processes may need repair,
    /// else when its silence next changes what it is.
    fn next_look_ms(&self, policy: &Policy, now_ms: MonotonicMs) -> Option<MonotonicMs> {
        let repair_at_ms = self.repair.then(|| now_ms.saturating_add(policy.repair_after_ms));
        let Some(seen) = &self.seen else {
            return repair_at_ms;
        };
        if self.marking(policy, now_ms).is_some() {
            return Some(now_ms);
        }
        let windows = Windows::of(policy.stale_after_of_ms(&seen.object));
        let silence_ms = match seen.object.status.state {
            DeviceState::Connected => Some(windows.connected_for_ms()),
            DeviceState::Sleeping => Some(windows.lost_after_ms(&seen.object.status)),
            DeviceState::Lost | DeviceState::Blocked | DeviceState::Unknown => None,
        };
        // One past the mark: at the mark the earlier state still holds.
        let silence_at_ms =
            silence_ms.map(|ms| self.heartbeat_changed_ms.saturating_add(ms).saturating_add(1));
        repair_at_ms.into_iter().chain(silence_at_ms).min()
    }
}
