//! A gateway replica, driven as `apollo-gateway` drives the core: one exchange for each report, a watch that fills the
//! index and tells liveness, and repairs.

mod follow;
mod requests;
mod work;
mod writes;

use std::collections::{BTreeMap, HashMap};

use apollo_gateway_core::{desired::DesiredIndex, policy::Policy, tracker::Tracker};
use apollo_twins::store::Objects;
use apollo_wire::{DeviceName, UnixMillis};

use crate::{
    agent::true_time,
    facts::ReplicaId,
    plan::{Millis, Sizes},
    sabotage::Sabotage,
    world::{Context, Event, Life, WorkId},
};

/// Reports of one device under way at once (`gateway::service::slots`).
const REPORTS_PER_DEVICE: u32 = 8;
/// Longest an exchange may take (`gateway::service::report`).
const EXCHANGE_TIMEOUT_MS: Millis = 8_000;

/// A replica.
pub struct Replica {
    id: ReplicaId,
    /// Counts starts and ends.
    pub life: Life,
    /// Whether it runs.
    pub is_up: bool,
    /// Its wall clock is off by so much.
    pub off_by_ms: i64,
    policy: Policy,
    max_body_bytes: usize,
    cached_reads: bool,
    sabotage: Sabotage,
    work: BTreeMap<WorkId, work::Work>,
    reports: HashMap<DeviceName, u32>,
    following: Following,
    /// The queue of status writes, in worlds that have them.
    writes: Option<writes::Writes>,
}

/// One watch of the store and what it fills.
struct Following {
    /// What the watch has told: also what cached reads see.
    told: Objects,
    /// Nothing has been told yet: not ready.
    is_ready: bool,
    index: DesiredIndex,
    tracker: Tracker,
    /// Zero of the monotonic clock.
    began_ms: Millis,
    /// Repairs under way.
    running: usize,
    is_watch_scheduled: bool,
    look_at_ms: Option<Millis>,
}

/// The numbers of the gateways' decisions.
pub fn policy(sizes: &Sizes) -> Policy {
    Policy {
        max_age_ms: sizes.max_age_s * 1_000,
        instances_kept: sizes.instances_kept,
        registration: if sizes.manual_registration {
            apollo_gateway_core::policy::Registration::Manual
        } else {
            apollo_gateway_core::policy::Registration::Auto
        },
        ..Policy::default()
    }
}

impl Replica {
    /// A replica that has not been started.
    pub fn new(id: ReplicaId, sizes: &Sizes, sabotage: Sabotage) -> Self {
        let policy = policy(sizes);
        Self {
            id,
            life: 0,
            is_up: false,
            off_by_ms: 0,
            policy,
            max_body_bytes: sizes.max_body_bytes,
            cached_reads: sizes.cached_reads || sizes.queued_writes,
            sabotage,
            work: BTreeMap::new(),
            reports: HashMap::new(),
            following: Following::new(policy, 0),
            writes: sizes.queued_writes.then(writes::Writes::new),
        }
    }

    /// Starts it.
    pub fn start(&mut self, context: &mut Context) {
        if self.is_up {
            return;
        }
        self.is_up = true;
        self.life += 1;
        context.note(|| format!("gateway {}: starts", self.id));
        self.begin_watch(context);
    }

    /// Kills it: whatever it was at is left as it is.
    pub fn kill(&mut self, context: &mut Context, off_ms: Millis) {
        if !self.is_up {
            return;
        }
        if !self.work.is_empty() {
            context.count("gateway: killed within an exchange");
        }
        context.note(|| format!("gateway {}: is killed", self.id));
        self.is_up = false;
        self.life += 1;
        self.work.clear();
        self.reports.clear();
        self.following = Following::new(self.policy, context.now);
        self.writes = self.writes.is_some().then(writes::Writes::new);
        context.schedule(off_ms, Event::StartGateway(self.id, self.life));
    }

    /// Its wall clock.
    fn wall(&self, now: Millis) -> UnixMillis {
        true_time(now).plus(self.off_by_ms)
    }
}
