//! What happens in one simulated history: the sizes of the world, and a list of actions with their times.
//!
//! A plan is made from a seed up front ([`generate`](mod@generate)) and is complete: what is decided by chance while the
//! world runs (which datagram is lost within a lossy minute) follows from [`Plan::seed`] again. So a plan replays
//! exactly, can be written down as JSON, and can be made smaller by leaving out actions ([`shrink`](mod@shrink)).

mod actions;
mod generate;
mod shrink;

use serde::{Deserialize, Serialize};

pub use actions::{Action, Disturbance, Restart, StoreFault, Timed};
pub use generate::{MACHINES_MAX, generate};
pub use shrink::shrink;

/// Milliseconds of virtual time since the beginning of the world.
pub type Millis = u64;

/// One history to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Where everything comes from that is decided while the world runs.
    pub seed: u64,
    /// The sizes of the world.
    pub world: Sizes,
    /// What happens, by time.
    pub actions: Vec<Timed>,
}

/// Sizes and settings of the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sizes {
    /// Devices, each with its own certificate. Clones come on top.
    pub devices: usize,
    /// Gateway replicas on the one store.
    pub replicas: usize,
    /// DeviceProcess names there may be.
    pub processes: usize,
    /// Faults and workload end here; what follows is quiet.
    pub busy_ms: Millis,
    /// `--sync-interval`, seconds.
    pub sync_interval_s: u64,
    /// `--heartbeat`, seconds.
    pub heartbeat_s: u64,
    /// `--queue-max-rows`.
    pub queue_rows: u64,
    /// Rows in one report.
    pub batch_rows: u32,
    /// `--max-body` of the gateways, bytes.
    pub max_body_bytes: usize,
    /// `--max-age` of the gateways, seconds.
    pub max_age_s: u64,
    /// Instances remembered for each device.
    pub instances_kept: usize,
    /// `--register manual`.
    pub manual_registration: bool,
    /// Whether replicas read through a cache that lags behind the store, as behind an API server's watch.
    pub cached_reads: bool,
    /// Whether replicas write statuses through a queue each, as to an API server. They read through a cache then.
    #[serde(default)]
    pub queued_writes: bool,
}

impl Plan {
    /// When faults and workload are over.
    pub fn quiet_at(&self) -> Millis {
        self.world.busy_ms
    }
}
