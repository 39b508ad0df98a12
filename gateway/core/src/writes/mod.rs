//! Status writes on their way to an API server: folded, fair, bounded, at a limited rate.
//!
//! ```text
//!  push_all(writes, tickets) ──> waiting, per object ── next() ──> Send(request) ── PATCH ──> done(key, result) ──> answers
//!      Refused: full,        per device: turns      └─> Answers: known without a request
//!      or told to pause
//! ```
//! A store that talks to an API server puts every status write of its machines in here with a ticket (whom to
//! tell), asks [`WriteQueue::next`] what to send until it says [`Next::Wait`], and reports each request's end to
//! [`WriteQueue::done`]. Time comes in as a value; nothing here sends anything.
//!
//! - **One request per object** is under way. What waits for a DeviceProcess meanwhile becomes one request: the
//!   greatest of its observations, joined onto the newest version of the object that the caller knows, is what all of
//!   the writes one by one would have come to (R-04). All their tickets get its outcome. What may be carried over to a
//!   newer version, and what may not, is told in `fold.rs`.
//! - **Nothing is sent that is known to be in vain**: what the object already says (R-06), a write by a device that it
//!   is no longer bound to (R-07), a version that is outdated (R-05). Tickets nobody waits for are dropped.
//! - **Devices take turns**, one request each; within a device the write that came first is sent first.
//! - **Bounds** (R-12): [`WriteLimits`]. A 429 stops everything until its `Retry-After` is over: a short one is waited out,
//!   a long one is told to all who wait. After it fewer requests are under way at once ([`window`]).
//!
//! The caller keeps what it knows of each object at least as new as whatever it told any machine: a version read from
//! the API server, or written, is known before the machine that learns of it can push its next write.

mod fold;
mod queue;
mod rate;
mod turns;
mod window;

use apollo_wire::{DeviceName, ProcessRef};

pub use queue::WriteQueue;

use crate::{
    object::{DeviceObject, DeviceStatus, ProcessObject, ProcessStatus, ResourceVersion, Versioned},
    store::{StatusWrite, WriteOutcome},
};

/// The object of a write.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKey {
    /// A Device.
    Device(DeviceName),
    /// A DeviceProcess.
    Process(ProcessRef),
}

/// A status write that waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Write {
    /// Of a DeviceProcess. Its `join` is what counts; its `status` is computed anew.
    Process(Box<StatusWrite>),
    /// Of a Device. Sent as it is or not at all: what it was computed from is not known here.
    Device {
        /// Which.
        device: DeviceName,
        /// The version it was computed from.
        expected: ResourceVersion,
        /// The new status.
        status: Box<DeviceStatus>,
    },
}

impl Write {
    /// Its object.
    pub fn key(&self) -> ObjectKey {
        match self {
            Self::Process(write) => ObjectKey::Process(write.process.clone()),
            Self::Device { device, .. } => ObjectKey::Device(device.clone()),
        }
    }
}

/// The newest version of an object that the caller knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Current {
    /// A DeviceProcess.
    Process(Versioned<ProcessObject>),
    /// A Device.
    Device(Versioned<DeviceObject>),
}

/// Bounds of a queue (R-12). A number that would stop everything counts as 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WriteLimits {
    /// Most writes that have no answer yet, those under way included: about what the rate lets out in the 8 s an exchange
    /// may take. What comes on top is refused at once instead of waiting until nobody waits for it, so that whoever is
    /// taken gets done even when everybody comes back at once.
    ///
    /// Writes of one device get half of the places, which must be more than the processes a device may have (1,000): what
    /// a device cannot write together, repairs undo before it is marked Connected. The last eighth of the places is for
    /// Device writes alone: each is the end of an exchange whose other writes are done.
    pub waiting_max: usize,
    /// Most requests under way. An API server of two cores took three times as many writes with 16 at once as with one;
    /// more wait in its own queues. Each 429 halves the number, each round of answers raises it by one again: additive
    /// increase, multiplicative decrease, as TCP finds the rate of a path (Chiu and Jain, 1989).
    pub in_flight_max: usize,
    /// Requests per second in the long run. Three replicas at 200 are what a small API server can take at all; a healthy
    /// fleet of 10,000 devices writes about as much (three heartbeats per device in 90 s).
    pub per_second: u32,
    /// Most requests at once after a rest: two seconds' worth, so that devices that call together after an outage of
    /// their link are not held up by the limit.
    pub burst: u32,
    /// How long a 429 without `Retry-After` stops everything. Kubernetes' own API server always says one second.
    pub pause_default_ms: u64,
    /// Longest pause that is waited out: two of the API server's usual seconds, well within the 8 s of an exchange. A
    /// device that waits on its open stream need not send its report again. A longer pause is told to all who wait.
    pub patience_ms: u64,
    /// Longest that a 429 stops everything, whatever it says: an hour by mistake must not silence a fleet. Devices get
    /// 503 meanwhile and call again.
    pub pause_max_ms: u64,
}

impl Default for WriteLimits {
    fn default() -> Self {
        Self {
            waiting_max: 2_048,
            in_flight_max: 16,
            per_second: 200,
            burst: 400,
            pause_default_ms: 1_000,
            patience_ms: 2_000,
            pause_max_ms: 30_000,
        }
    }
}

/// Why a write is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// Not enough places are free, or are left for this device.
    #[error("too many status writes wait")]
    Full,
    /// The API server asked to be left alone.
    #[error("status writes are paused for {retry_after_ms} ms")]
    Paused {
        /// The rest of the pause.
        retry_after_ms: u64,
    },
}

/// One PATCH of a status.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Request {
    /// Of which object.
    pub key: ObjectKey,
    /// The version it must name, and was computed from.
    pub expected: ResourceVersion,
    /// What it changes.
    pub change: StatusChange,
    /// How many writes it carries.
    pub writes: usize,
    /// How many of them were computed from another version before.
    pub carried_over: usize,
}

/// A status before and after.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StatusChange {
    /// Of a DeviceProcess.
    Process {
        /// As it is at the expected version.
        from: Box<ProcessStatus>,
        /// As it shall be. What belongs to other writers is the same in both.
        to: Box<ProcessStatus>,
    },
    /// Of a Device.
    Device {
        /// As it is at the expected version.
        from: Box<DeviceStatus>,
        /// As it shall be.
        to: Box<DeviceStatus>,
    },
}

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SendResult {
    /// Done; the object's new version.
    Written(ResourceVersion),
    /// 409: somebody else wrote first.
    Conflict,
    /// 404: the object is gone.
    Gone,
    /// 429: the API server wants to be left alone.
    TooManyRequests {
        /// `Retry-After`, if it said one.
        retry_after_ms: Option<u64>,
    },
    /// No answer, or one that does not say whether it was done.
    Unavailable {
        /// `Retry-After`, if it said one.
        retry_after_ms: Option<u64>,
    },
}

/// A write was not done, or it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Unavailable {
    /// How long to leave the API server alone, if it said so.
    pub retry_after_ms: Option<u64>,
}

/// What to tell a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Answer<T> {
    /// Whom.
    pub ticket: T,
    /// What its write came to.
    pub outcome: Result<WriteOutcome, Unavailable>,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Next<T> {
    /// Send this, then call [`WriteQueue::done`], whatever came of it. Ask again at once.
    Send(Request),
    /// Tell these; no request was needed. Ask again at once.
    Answers(Vec<Answer<T>>),
    /// Nothing can be sent before this time (`None`: before the next push or done).
    Wait(Option<crate::tracker::MonotonicMs>),
}
