//! The agent's queue: what `apollo-agent`'s SQLite file holds and does (docs/storage.md, Q-01 to Q-10), as a value.
//!
//! Every method is one transaction of the real queue that succeeded. One that fails leaves nothing, so a driver that
//! wants it to fail does not call it. What is on disk and what is not is the driver's to keep apart as well: a clone of
//! the queue is the durable image.

mod append;
mod batch;
mod gaps;
mod renew;
mod settle;

use std::collections::BTreeMap;

use apollo_wire::{DesiredState, Gap, InstanceId, Observation, RejectReason, Sequence};

pub use batch::Batch;
pub use settle::{OtherInstance, Settled};

/// Which boot of the machine a row was recorded in. Only equality means anything.
pub type Boot = u32;

/// How much the queue may hold. Rows over either bound push out the oldest; one row always has a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Most pending rows.
    pub max_rows: u64,
    /// Most bytes of pending rows, as [`row_bytes`] counts.
    pub max_bytes: u64,
}

/// A pending observation. Its sequence is its key in the queue and repeated in `observation.seq`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Row {
    observation: Observation,
    boot: Boot,
    /// Damaged on disk: cannot be read back.
    unreadable: bool,
}

/// A refused observation with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeadLetter {
    /// The observation under the sequence it was refused with.
    pub observation: Observation,
    /// The boot it was recorded in.
    pub boot: Boot,
    /// Why it was refused.
    pub rejection: RejectReason,
}

/// The last desired document with its ETag.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoredDesired {
    /// What the next poll's `If-None-Match` says.
    pub etag: String,
    /// The document.
    pub document: DesiredState,
}

/// A queue. See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Queue {
    limits: Limits,
    instance: InstanceId,
    previous_instance: Option<InstanceId>,
    rows: BTreeMap<Sequence, Row>,
    bytes: u64,
    dead: BTreeMap<Sequence, DeadLetter>,
    gaps: gaps::Gaps,
    high_water: Sequence,
    offered_through: Sequence,
    dropped: u64,
    acked_total: u64,
    desired: Option<StoredDesired>,
}

impl Queue {
    /// A new, empty queue.
    pub fn new(instance: InstanceId, limits: Limits) -> Self {
        Self {
            limits,
            instance,
            previous_instance: None,
            rows: BTreeMap::new(),
            bytes: 0,
            dead: BTreeMap::new(),
            gaps: gaps::Gaps::default(),
            high_water: 0,
            offered_through: 0,
            dropped: 0,
            acked_total: 0,
            desired: None,
        }
    }

    /// Which life of the queue this is.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// The life before this one, if there was one.
    pub fn previous_instance(&self) -> Option<InstanceId> {
        self.previous_instance
    }

    /// The highest sequence ever handed out; 0 if none.
    pub fn high_water(&self) -> Sequence {
        self.high_water
    }

    /// The sequence the next observation will get.
    pub fn next_sequence(&self) -> Sequence {
        self.high_water + 1
    }

    /// The highest sequence this instance has ever offered.
    pub fn offered_through(&self) -> Sequence {
        self.offered_through
    }

    /// How many rows wait.
    pub fn pending(&self) -> u64 {
        self.rows.len() as u64
    }

    /// What the pending rows count towards `max_bytes`.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Rows dropped for want of room since the instance began.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Rows acknowledged since the queue was made.
    pub fn acked_total(&self) -> u64 {
        self.acked_total
    }

    /// The limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The pending observations as they are stored, ascending.
    pub fn observations(&self) -> impl Iterator<Item = &Observation> {
        self.rows.values().map(|row| &row.observation)
    }

    /// The dead letters, by sequence.
    pub fn dead_letters(&self) -> impl Iterator<Item = &DeadLetter> {
        self.dead.values()
    }

    /// The gap records, by first sequence.
    pub fn gaps(&self) -> Vec<Gap> {
        self.gaps.list()
    }

    /// The last stored desired document; none before the first.
    pub fn desired(&self) -> Option<&StoredDesired> {
        self.desired.as_ref()
    }

    /// Stores document and ETag together, in place of the last.
    pub fn store_desired(&mut self, etag: String, document: DesiredState) {
        self.desired = Some(StoredDesired { etag, document });
    }
}

/// What a row counts towards `max_bytes`: a fixed share for its numbers, and its texts.
pub fn row_bytes(observation: &Observation) -> u64 {
    const OVERHEAD: usize = 48;
    const SPEC_HASH: usize = 16;
    let texts = [
        observation.process.as_str().len(),
        observation.reason.len(),
        observation.message.len(),
        observation.state.map_or(0, |state| format!("{state:?}").len()),
        observation.spec_hash.map_or(0, |_| SPEC_HASH),
        batch::values_bytes(observation),
    ];
    (OVERHEAD + texts.iter().sum::<usize>()) as u64
}
