//! What the decisions ask of a store, as values. Each request is one atomic step; a store that cannot do it
//! says [`StoreReply::Unavailable`] and has done nothing, or has done it without being able to say so (every
//! request may be repeated).

use std::time::Duration;

use apollo_wire::{DeviceName, Epoch, Gap, InstanceId, Observation, ProcessRef, Sequence, UnixMillis};

use crate::{
    join::StatusJoin,
    object::{DeviceObject, DeviceStatus, ProcessObject, ProcessStatus, ResourceVersion, Versioned},
};

/// Where a read may be answered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// A watch cache that may lag: the first try.
    Cached,
    /// The store itself: after a conflict.
    Authoritative,
}

/// One step against the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StoreRequest {
    /// Read one Device. Answer: [`StoreReply::Device`].
    ReadDevice {
        /// Which.
        device: DeviceName,
        /// From where.
        freshness: Freshness,
    },
    /// Create a Device with an empty spec and this status. Answer: [`StoreReply::Written`]; `Conflict` if it
    /// exists.
    CreateDevice {
        /// Its name.
        device: DeviceName,
        /// Its first status.
        status: Box<DeviceStatus>,
    },
    /// Replace a Device's status if its version is still `expected`. Answer: [`StoreReply::Written`].
    ReplaceDeviceStatus {
        /// Which.
        device: DeviceName,
        /// The version it was computed from.
        expected: ResourceVersion,
        /// The new status.
        status: Box<DeviceStatus>,
    },
    /// Read the DeviceProcesses named, and all that are bound to `device`. Answer: [`StoreReply::Processes`],
    /// without those that do not exist, without duplicates.
    ReadProcesses {
        /// The device whose bound processes are wanted.
        device: DeviceName,
        /// Further objects, whoever they are bound to.
        named: Vec<ProcessRef>,
        /// From where.
        freshness: Freshness,
    },
    /// Insert history rows and gaps by primary key (device, instance, sequence), on conflict do as told, in
    /// one transaction, synced to disk. Answer: [`StoreReply::HistoryAppended`] or
    /// [`StoreReply::HistoryDiverged`].
    AppendHistory {
        /// Whose.
        device: DeviceName,
        /// Which life.
        instance: InstanceId,
        /// Its epoch.
        epoch: Epoch,
        /// When the gateway received them.
        received_at: UnixMillis,
        /// The rows.
        rows: Vec<HistoryRow>,
        /// Ranges the device had to drop.
        gaps: Vec<Gap>,
        /// What to do about a sequence that is there already.
        on_conflict: OnConflict,
    },
    /// Read which of these sequences history has. Answer: [`StoreReply::Settled`].
    ReadSettled {
        /// Whose.
        device: DeviceName,
        /// Which life.
        instance: InstanceId,
        /// Which ones are asked for.
        sequences: Vec<Sequence>,
    },
    /// Read the highest sequence in history for an instance. Answer: [`StoreReply::Highest`].
    ReadHighest {
        /// Whose.
        device: DeviceName,
        /// Which life.
        instance: InstanceId,
    },
    /// Replace statuses, each if its version is still the expected one; each alone. Answer:
    /// [`StoreReply::StatusesWritten`] with one outcome per write, in order.
    ReplaceProcessStatuses {
        /// Whose machine writes: the processes must be bound to it.
        device: DeviceName,
        /// The writes, at most one per object.
        writes: Vec<StatusWrite>,
    },
}

/// What to do about a history row whose sequence is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnConflict {
    /// Nothing: it is a duplicate.
    KeepFirst,
    /// Nothing if it says the same (see [`HistoryRow::says_the_same`]); if it says something else, insert no row and
    /// no gap at all. Two lives of one queue database have met: one of them is a copy.
    RefuseOther,
}

/// One compare-and-swap of a DeviceProcess's status.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StatusWrite {
    /// Which object.
    pub process: ProcessRef,
    /// The version the status was computed from.
    pub expected: ResourceVersion,
    /// The new status.
    pub status: ProcessStatus,
    /// What it was joined from, for a store that folds writes which wait for one object (`writes`).
    pub join: StatusJoin,
}

/// One observation as history keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HistoryRow {
    /// As the device sent it.
    pub observation: Observation,
    /// Its time corrected by the measured skew; `None` if unknown (bounded above by receipt).
    pub corrected_at: Option<UnixMillis>,
    /// No such DeviceProcess (any more).
    pub orphaned: bool,
}

impl HistoryRow {
    /// Whether two rows are one observation sent twice. A retry repeats what the device stored; how its clock was
    /// judged and what the gateway made of the time may differ.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let with_clock_of_other = Observation {
            clock: other.observation.clock,
            ..self.observation.clone()
        };
        with_clock_of_other == other.observation
    }
}

/// What a write came to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WriteOutcome {
    /// Done; the object's new version.
    Written(ResourceVersion),
    /// Somebody else wrote first; nothing was changed.
    Conflict,
    /// The object is gone; nothing was changed.
    Gone,
}

/// A store's answer.
#[expect(
    clippy::large_enum_variant,
    reason = "a reply lives for one step and is never kept in numbers"
)]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StoreReply {
    /// The Device, or that there is none.
    Device(Option<Versioned<DeviceObject>>),
    /// One write's outcome.
    Written(WriteOutcome),
    /// The DeviceProcesses found.
    Processes(Vec<Versioned<ProcessObject>>),
    /// Which rows were new (same order as asked), and the highest sequence of the instance in history now.
    HistoryAppended {
        /// `true` for a row that was not there before.
        new: Vec<bool>,
        /// Highest sequence in history, this append included.
        highest: Sequence,
    },
    /// History has another observation under one of the sequences; nothing was inserted.
    HistoryDiverged {
        /// Highest sequence in history.
        highest: Sequence,
    },
    /// Those of the sequences asked for that history has.
    Settled(Vec<Sequence>),
    /// The highest sequence in history; 0 if none.
    Highest(Sequence),
    /// Outcomes in the order of the writes.
    StatusesWritten(Vec<WriteOutcome>),
    /// The store cannot answer now.
    Unavailable {
        /// How long to leave it alone, if it said so.
        retry_after: Option<Duration>,
    },
}
