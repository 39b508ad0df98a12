//! A device's machine and the agent on it, driven as `apollo-agent` drives the cores: the queue is one thread that takes
//! calls in order, the driver waits for its own calls, the exchange and the supervisor go on beside it.

mod client;
mod clock;
mod disk;
mod driver;
mod effects;
mod intake;
mod machine;
mod reply;
mod supervision;

pub use clock::{DeviceClock, true_time};
pub use disk::token_of;
pub use machine::{Machine, Settings};

use std::collections::VecDeque;

use apollo_agent_core::{
    engine::{Engine, Exchanged},
    time::Monotonic,
};
use apollo_wire::{Gap, InstanceId, Sequence};

use crate::plan::Millis;

/// A running agent: one life of the process.
struct Agent {
    engine: Engine,
    /// When this life began: zero of its monotonic clock.
    began_ms: Millis,
    /// ETag of the document in force.
    etag: Option<String>,
    /// What the verdicts being settled belong to.
    taken: Option<Taken>,
    disk: disk::DiskThread,
    /// The driver waits for a call of its own.
    awaits_disk: bool,
    exchange: Option<client::Exchange>,
    finished: Option<Finished>,
    client: client::Client,
    supervision: supervision::Supervision,
    intake: intake::Intake,
    /// The queue was changed by another process: when the driver will notice.
    look_at_ms: Option<Millis>,
    stop: Stop,
    /// The next wake-up that is scheduled.
    wake_at_ms: Option<Millis>,
}

/// The part of a batch that settling needs.
#[derive(Debug, Clone)]
struct Taken {
    instance: InstanceId,
    gaps: Vec<Gap>,
    sequences: Vec<Sequence>,
}

/// The end of an exchange.
struct Finished {
    exchanged: Exchanged,
    taken: Option<Taken>,
}

/// How far the end of the agent has come.
#[derive(Debug, Default)]
struct Stop {
    requested: bool,
    asked: bool,
    end_by_ms: Option<Millis>,
    stopped: bool,
    /// When it is started again.
    off_ms: Millis,
}

/// Calls waiting for the queue's thread, in order.
type Calls = VecDeque<disk::Call>;

impl Agent {
    fn monotonic(&self, now: Millis) -> Monotonic {
        Monotonic::from_millis(now - self.began_ms)
    }
}
