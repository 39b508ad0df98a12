//! What the decisions ask of a store, as values. Each request is one atomic step; a store that cannot do it
//! says [`StoreReply::Unavailable`] and has done nothing, or has done it without being able to say so (every
//! request may be repeated).

use std::time::Duration;

use apollo_wire::{DeviceName, Epoch, Gap, InstanceId, Observation, ProcessRef, Sequence, UnixMillis};

use crate::object::{DeviceObject, DeviceStatus, ProcessObject, ProcessStatus, ResourceVersion, Versioned};

/// Where a read may be answered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// A watch cache that may lag: the first try.
    Cached,
    /// The store itself: after a conflict.
    Authoritative,
}

/// One step against the store.
#[derive(Debug, Clone, PartialEq)]
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
    /// Insert history rows and gaps by primary key (device, instance, sequence), on conflict do nothing, in
    /// one transaction, synced to disk. Answer: [`StoreReply::HistoryAppended`].
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
        /// The writes, at most one per object.
        writes: Vec<StatusWrite>,
    },
}

/// One compare-and-swap of a DeviceProcess's status.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusWrite {
    /// Which object.
    pub process: ProcessRef,
    /// The version the status was computed from.
    pub expected: ResourceVersion,
    /// The new status.
    pub status: ProcessStatus,
}

/// One observation as history keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRow {
    /// As the device sent it.
    pub observation: Observation,
    /// Its time corrected by the measured skew; `None` if unknown (bounded above by receipt).
    pub corrected_at: Option<UnixMillis>,
    /// No such DeviceProcess (any more).
    pub orphaned: bool,
}

/// What a write came to.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq)]
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
