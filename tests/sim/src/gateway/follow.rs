//! The watch, the index it fills, and liveness (`gateway::service::follow` and `liveness`).

use apollo_gateway_core::{
    desired::DesiredIndex,
    object::DeviceState,
    policy::Policy,
    reconcile::{Reconcile, Reconciled},
    tracker::{MonotonicMs, Tracker},
};
use apollo_twins::store::{Change, Objects};
use apollo_wire::DeviceName;
use rand::Rng;

use super::{Following, Replica, work::Work};
use crate::{
    facts::Fact,
    plan::{Disturbance, Millis},
    world::{Context, Event},
};

/// How soon a watch tells of a change.
const WATCH_MS: Millis = 50;
/// Pause before a watch that ended is begun anew.
const PAUSE_MS: Millis = 1_000;

impl Following {
    pub(super) fn new(policy: Policy, now: Millis) -> Self {
        Self {
            told: Objects::default(),
            is_ready: false,
            index: DesiredIndex::default(),
            tracker: Tracker::new(policy),
            began_ms: now,
            running: 0,
            is_watch_scheduled: false,
            look_at_ms: None,
        }
    }

    fn monotonic(&self, now: Millis) -> MonotonicMs {
        now - self.began_ms
    }

    fn take_in(&mut self, change: &Change, now: Millis) {
        let now_ms = self.monotonic(now);
        match change {
            Change::Process(process) => {
                self.index.upsert(&process.object);
                self.tracker.process_seen(&process.object, now_ms);
            }
            Change::ProcessDeleted(process) => {
                self.index.remove(process);
            }
            Change::Device(device) => self.tracker.device_seen(device, now_ms),
            Change::DeviceDeleted(device) => self.tracker.device_gone(device, now_ms),
        }
    }
}

impl Replica {
    /// Begins a watch, with an index and a tracker that know nothing.
    pub fn begin_watch(&mut self, context: &mut Context) {
        self.following = Following::new(self.policy, context.now);
        self.drop_repairs();
        self.store_changed(context);
    }

    /// The watch ends; another one begins a little later.
    pub fn end_watch(&mut self, context: &mut Context) {
        if self.is_up && self.following.is_ready {
            context.count("action: end watch");
            self.following.is_ready = false;
            // Nothing is told until then.
            self.following.is_watch_scheduled = true;
            context.schedule(PAUSE_MS, Event::WatchAgain(self.id, self.life));
        }
    }

    /// The store has changed: the watch will tell.
    pub fn store_changed(&mut self, context: &mut Context) {
        if !self.is_up || self.following.is_watch_scheduled {
            return;
        }
        self.following.is_watch_scheduled = true;
        let lag_ms = lag(context);
        context.schedule(lag_ms, Event::Watch(self.id, self.life));
    }

    /// The watch tells what has changed since it last told.
    pub fn on_watch(&mut self, context: &mut Context, objects: &Objects) {
        let following = &mut self.following;
        following.is_watch_scheduled = false;
        for change in objects.changes_since(&following.told) {
            following.take_in(&change, context.now);
        }
        following.told = objects.clone();
        following.is_ready = true;
        if let Some(writes) = &mut self.writes {
            writes.known = objects.clone();
        }
        self.arm_look(context);
    }

    /// What cached reads see: what the watch has told, or the store itself where nothing is cached.
    pub fn cache(&self) -> Option<&Objects> {
        let told = &self.following.told;
        let cache = self.writes.as_ref().map_or(told, |writes| &writes.known);
        (self.cached_reads && self.following.is_ready).then_some(cache)
    }

    /// Looks at who has gone silent.
    pub fn on_look(&mut self, context: &mut Context) {
        self.following.look_at_ms = None;
        let room = self.following.running < self.policy.repairs_at_once;
        if !self.following.is_ready || !room {
            return;
        }
        let now_ms = self.following.monotonic(context.now);
        for task in self.following.tracker.due(now_ms) {
            if let Some(marking) = &task.marking {
                context.note(|| {
                    format!(
                        "gateway {}: marks {} {:?}",
                        self.id, task.device, marking.status.state
                    )
                });
                match marking.status.state {
                    DeviceState::Lost => context.count("gateway: device marked Lost"),
                    DeviceState::Sleeping => context.count("gateway: device marked Sleeping"),
                    DeviceState::Blocked => context.count("gateway: device marked Blocked"),
                    DeviceState::Connected | DeviceState::Unknown => {}
                }
            }
            self.following.running += 1;
            let device = task.device.clone();
            context.fact(Fact::RepairBegun {
                replica: self.id,
                device: device.clone(),
            });
            let now = self.wall(context.now);
            let machine = Reconcile::new(task, now, &self.policy, context.chance.store.random());
            let id = context.next_work();
            self.begin(context, id, Work::reconcile(machine, device));
        }
        self.arm_look(context);
    }

    pub(super) fn on_reconciled(&mut self, context: &mut Context, device: &DeviceName, done: &Reconciled) {
        let following = &mut self.following;
        following.running = following.running.saturating_sub(1);
        let now_ms = following.monotonic(context.now);
        following.tracker.reconciled(device, done, now_ms);
        self.arm_look(context);
    }

    fn arm_look(&mut self, context: &mut Context) {
        let following = &mut self.following;
        let Some(due_ms) = following.tracker.next_deadline_ms() else {
            return;
        };
        let at_ms = (following.began_ms + due_ms).max(context.now);
        if following
            .look_at_ms
            .is_none_or(|armed_ms| armed_ms > at_ms || armed_ms < context.now)
        {
            following.look_at_ms = Some(at_ms);
            context.schedule(at_ms - context.now, Event::Look(self.id, self.life));
        }
    }
}

fn lag(context: &mut Context) -> Millis {
    let lags = context
        .disturbances
        .values()
        .filter_map(|disturbance| match disturbance {
            Disturbance::WatchLag { up_to_ms } => Some(*up_to_ms),
            _ => None,
        });
    let longest = lags.max().unwrap_or(0);
    WATCH_MS + context.chance.network.random_range(0..=longest)
}
