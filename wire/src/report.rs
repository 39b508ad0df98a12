//! What a device sends: the report.

use serde::{Deserialize, Serialize};

use crate::{InstanceId, Observation, Sequence, UnixMillis};

/// One `POST /v1/report`. An empty one is still proof of life.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The queue database the sequences below belong to.
    pub instance: InstanceId,
    /// The device's clock when it sent this: the gateway learns the skew from it.
    pub sent_at: UnixMillis,
    /// When the device means to call next, seconds from now; absent if it does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_contact_seconds: Option<u32>,
    /// How full the queue is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueDepth>,
    /// The highest sequence this instance had ever offered to a gateway before this report. A gateway that has settled
    /// a higher one, which is not an observation of this very report, knows that the device runs from an old copy of its
    /// database, and settles nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offered_through: Option<Sequence>,
    /// The agent's version, sent in the first report of a process's life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// Ranges of sequences the bounded queue had to drop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// The observations, in any order.
    pub observations: Vec<Observation>,
    /// Observations whose sequence could be read but not the rest. Made by decoders, never encoded.
    #[serde(skip)]
    pub malformed: Vec<Malformed>,
}

/// How many observations wait on the device, and how many it has ever dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct QueueDepth {
    /// Rows waiting, those of this report included.
    pub pending: u64,
    /// Rows dropped for want of room since the instance began.
    pub dropped: u64,
}

/// A closed range of sequences that will never arrive, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Gap {
    /// First lost sequence.
    pub first: Sequence,
    /// Last lost sequence.
    pub last: Sequence,
    /// Why they were lost.
    pub reason: GapReason,
}

/// Why sequences were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GapReason {
    /// The queue was full and the oldest rows made room.
    QueueFull,
    /// An operator purged the queue.
    Purged,
    /// A row could not be read back from a damaged database.
    Corrupt,
}

/// An observation that cannot be used, though its sequence is known: it is rejected, the rest of its report is not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Malformed {
    /// The sequence to reject.
    pub seq: Sequence,
    /// Which field was wrong and what was expected.
    pub message: String,
}

impl Report {
    /// An empty report: proof of life and nothing else.
    pub fn empty(instance: InstanceId, sent_at: UnixMillis) -> Self {
        Self {
            instance,
            sent_at,
            next_contact_seconds: None,
            queue: None,
            offered_through: None,
            agent_version: None,
            gaps: Vec::new(),
            observations: Vec::new(),
            malformed: Vec::new(),
        }
    }
}
