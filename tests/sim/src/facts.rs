//! What happened, as the checkers are told: facts about disks, the store and what was said, not about the machines that
//! are checked.

use apollo_gateway_core::object::{DeviceObject, ProcessObject, ResourceVersion};
use apollo_wire::{
    DeviceName, Epoch, Gap, InstanceId, ProcessRef, ProcessState, Rejection, Sequence, SequenceRange,
};

use crate::plan::Millis;

/// A machine: a device or a clone of one.
pub type MachineId = usize;
/// A gateway replica.
pub type ReplicaId = usize;
/// One exchange on one replica; never used twice.
pub type ExchangeId = u64;

/// Follows one observation wherever it goes, whatever number it has: the world writes it into the observation's values.
pub type Token = u64;

/// The value that carries the token.
pub const TOKEN: &str = "token";

/// Who wrote an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writer {
    /// An exchange with this device.
    Exchange(ReplicaId, DeviceName),
    /// A replica that marks and repairs.
    Reconcile(ReplicaId, DeviceName),
    /// `apply` and `delete`.
    Operator,
    /// Another controller.
    Foreign,
}

/// A row that history was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendedRow {
    /// Its sequence.
    pub sequence: Sequence,
    /// Which observation it is.
    pub token: Token,
    /// The process.
    pub process: ProcessRef,
    /// The state it tells.
    pub state: Option<ProcessState>,
    /// Whether it was judged to have no process.
    pub orphaned: bool,
    /// Whether it was not there before.
    pub is_new: bool,
}

/// Why a row is no longer in a queue under the sequence it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// Deleted.
    Gone,
    /// Now a dead letter.
    Buried,
}

/// What a queue's transaction was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Observations were stored.
    Append,
    /// A batch was read, and noted as offered.
    Take,
    /// Verdicts were applied.
    Settle,
    /// A new instance was started.
    Renew,
    /// A document or a note was stored.
    Note,
    /// Somebody purged or requeued.
    ByHand,
}

/// One transaction of a queue, told by what it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Whose.
    pub machine: MachineId,
    /// The device it says it is.
    pub device: DeviceName,
    /// What for.
    pub operation: Operation,
    /// The instance before.
    pub instance_before: InstanceId,
    /// The instance after.
    pub instance: InstanceId,
    /// Rows that came, with their sequences after.
    pub arrived: Vec<(Sequence, Token)>,
    /// Rows that left, with their sequences before.
    pub departed: Vec<(Sequence, Token, Departure)>,
    /// Dead letters that left.
    pub exhumed: Vec<Token>,
    /// Gap records after.
    pub gaps: Vec<Gap>,
    /// Rows after.
    pub pending: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A queue changed on disk.
    Queue(Transaction),
    /// A disk was put back to an older image; these observations were on it, and are in no row any more.
    RolledBack {
        /// Whose.
        machine: MachineId,
        /// The device it says it is.
        device: DeviceName,
        /// Pending rows and dead letters that went with the disk.
        lost: Vec<Token>,
        /// Those that are back.
        restored: Vec<Token>,
        /// The gap records that are back.
        gaps: Vec<Gap>,
    },
    /// A machine is a copy of another.
    Cloned {
        /// The copy.
        machine: MachineId,
        /// What it was copied from.
        from: MachineId,
        /// The device both say they are.
        device: DeviceName,
        /// What is pending or dead on both.
        copied: Vec<Token>,
        /// The gap records on both.
        gaps: Vec<Gap>,
    },
    /// An agent began to run.
    AgentStarted {
        /// Whose.
        machine: MachineId,
    },
    /// An agent has nothing under way and nothing armed, and is not stopped.
    AgentStuck {
        /// Whose.
        machine: MachineId,
    },
    /// An agent sends a report.
    Reported {
        /// Whose.
        machine: MachineId,
        /// Rows in it.
        rows: usize,
        /// Length of the frame.
        bytes: usize,
    },
    /// A gateway began an exchange.
    ExchangeBegun {
        /// Which.
        exchange: ExchangeId,
        /// By the certificate.
        device: DeviceName,
    },
    /// History was appended to.
    Appended {
        /// By which exchange.
        exchange: ExchangeId,
        /// Whose.
        device: DeviceName,
        /// Which life.
        instance: InstanceId,
        /// Its epoch.
        epoch: Epoch,
        /// The rows.
        rows: Vec<AppendedRow>,
        /// The gaps.
        gaps: Vec<Gap>,
    },
    /// A DeviceProcess was created, changed or deleted.
    ProcessChanged {
        /// By whom.
        by: Writer,
        /// As it was.
        before: Option<Box<ProcessObject>>,
        /// As it is.
        after: Option<Box<ProcessObject>>,
    },
    /// A Device was created, changed or deleted.
    DeviceChanged {
        /// By whom.
        by: Writer,
        /// As it was.
        before: Option<Box<DeviceObject>>,
        /// As it is.
        after: Option<Box<DeviceObject>>,
    },
    /// A gateway gave its verdicts.
    Verdicts {
        /// Of which exchange.
        exchange: ExchangeId,
        /// To whom.
        device: DeviceName,
        /// For which instance.
        instance: InstanceId,
        /// Its epoch.
        epoch: Epoch,
        /// Settled.
        acked: Vec<SequenceRange>,
        /// Refused.
        rejected: Vec<Rejection>,
        /// The highest sequence known.
        highest: Sequence,
    },
    /// A replica began to mark a device or to repair its processes.
    RepairBegun {
        /// Which replica.
        replica: ReplicaId,
        /// Whom.
        device: DeviceName,
    },
    /// A replica's queue of writes sends a repair, or a write that it has folded with one.
    RepairSent {
        /// Of which process.
        process: ProcessRef,
        /// The version it was computed from.
        read: ResourceVersion,
        /// The version it is sent for.
        sent_for: ResourceVersion,
    },
    /// An exchange or a repair ended after so many requests to the store.
    MachineEnded {
        /// Requests it made.
        requests: u32,
        /// Attempts to write statuses among them.
        writes: u32,
    },
    /// Faults and workload are over; everything heals.
    Quiet,
}

/// A fact and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct TimedFact {
    /// When.
    pub at_ms: Millis,
    /// What.
    pub fact: Fact,
}
