//! Everything a plan can make happen.

use serde::{Deserialize, Serialize};

use super::Millis;

/// An action and its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// When it begins.
    pub at_ms: Millis,
    /// What happens.
    #[serde(flatten)]
    pub action: Action,
}

/// One thing that somebody does, or that goes wrong. Numbers name devices, machines, replicas and processes by position,
/// modulo how many there are, so that an action keeps its meaning when others are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Action {
    /// A script on a machine calls `observe`.
    Observe {
        /// Which machine.
        machine: usize,
        /// About which process, bound to its device or not.
        process: usize,
        /// How many observations.
        count: usize,
        /// How much earlier than now they claim to be, seconds; negative is the future.
        age_s: i64,
    },
    /// The operator applies a DeviceProcess.
    Apply {
        /// Which process.
        process: usize,
        /// Bound to which device.
        device: usize,
        /// What makes this spec differ from others.
        variant: u32,
        /// How it is restarted.
        restart: Restart,
        /// `suspend: true`.
        suspend: bool,
    },
    /// The operator deletes a DeviceProcess.
    Delete {
        /// Which process.
        process: usize,
    },
    /// The operator sets the spec of a Device.
    SetDevice {
        /// Which device.
        device: usize,
        /// `blocked`.
        blocked: bool,
        /// `staleAfter`, seconds.
        stale_after_s: Option<u64>,
    },
    /// The operator deletes a Device object.
    DeleteDevice {
        /// Which device.
        device: usize,
    },
    /// Another controller writes its own fields and condition into every status.
    ForeignWrite,
    /// The agent's queue is purged by hand.
    Purge {
        /// Which machine.
        machine: usize,
    },
    /// The agent's dead letters are put back into its queue.
    Requeue {
        /// Which machine.
        machine: usize,
    },
    /// A row on disk is damaged.
    DamageRow {
        /// Which machine.
        machine: usize,
        /// Which of the pending rows.
        row: usize,
    },
    /// A copy of a machine's disk is put aside.
    TakeImage {
        /// Which machine.
        machine: usize,
    },
    /// A machine is switched off and comes back with its disk as it was in the last image.
    RollBack {
        /// Which machine.
        machine: usize,
        /// How long it is off.
        off_ms: Millis,
    },
    /// A copy of a machine, certificate and all, is switched on.
    Clone {
        /// Which machine.
        machine: usize,
    },
    /// The agent is killed and started again; its processes live on meanwhile.
    KillAgent {
        /// Which machine.
        machine: usize,
        /// How long until it is started again.
        off_ms: Millis,
    },
    /// The agent is asked to end, and started again.
    StopAgent {
        /// Which machine.
        machine: usize,
        /// How long from its end until it is started again.
        off_ms: Millis,
    },
    /// The power of a machine is cut. What was not on disk is gone.
    CutPower {
        /// Which machine.
        machine: usize,
        /// How long until it boots.
        off_ms: Millis,
        /// Whether its clock starts at 1970 and is set later.
        clock_lost: bool,
    },
    /// A machine is switched off for good.
    SwitchOff {
        /// Which machine.
        machine: usize,
    },
    /// A machine's clock is stepped.
    StepClock {
        /// Which machine.
        machine: usize,
        /// By how much, seconds.
        by_s: i64,
        /// Whether the machine goes on believing in it.
        synced: bool,
    },
    /// The wall clock of a gateway replica is off from now on.
    SkewGateway {
        /// Which replica.
        replica: usize,
        /// By how much, seconds.
        by_s: i64,
    },
    /// A replica is killed and started again.
    KillGateway {
        /// Which replica.
        replica: usize,
        /// How long it is down.
        off_ms: Millis,
    },
    /// A replica's watch on the store ends.
    EndWatch {
        /// Which replica.
        replica: usize,
    },
    /// Something is wrong for a while.
    Disturb {
        /// For how long.
        for_ms: Millis,
        /// What.
        what: Disturbance,
    },
}

/// `restartPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// After every exit.
    Always,
    /// After a failure.
    OnFailure,
    /// Never.
    Never,
}

/// What can be wrong for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Disturbance {
    /// Messages are lost.
    Loss {
        /// Which machine's link; all without one.
        machine: Option<usize>,
        /// How many of a hundred.
        percent: u8,
    },
    /// Messages arrive twice, the second time late.
    Duplication {
        /// How many of a hundred requests.
        percent: u8,
        /// Latest second arrival.
        late_ms: Millis,
    },
    /// Messages take longer, each by another time, so that they overtake each other.
    Delay {
        /// Which machine's link; all without one.
        machine: Option<usize>,
        /// Longest.
        up_to_ms: Millis,
    },
    /// Nothing passes between one machine and one replica.
    Partition {
        /// Which machine.
        machine: usize,
        /// Which replica.
        replica: usize,
        /// Towards the gateway.
        up: bool,
        /// From the gateway.
        down: bool,
    },
    /// A machine has no link at all.
    Blackout {
        /// Which machine.
        machine: usize,
    },
    /// A machine's disk takes no writes.
    DiskFull {
        /// Which machine.
        machine: usize,
    },
    /// A machine's disk is slow.
    DiskSlow {
        /// Which machine.
        machine: usize,
        /// Longest write.
        up_to_ms: Millis,
    },
    /// The store fails for a replica.
    Store {
        /// Which replica; all without one.
        replica: Option<usize>,
        /// How.
        fault: StoreFault,
        /// How many of a hundred requests.
        percent: u8,
    },
    /// The watches of all replicas lag.
    WatchLag {
        /// Longest.
        up_to_ms: Millis,
    },
    /// Runs end early, badly.
    CrashLoop {
        /// On which machine.
        machine: usize,
    },
    /// Programs cannot be started.
    SpawnFails {
        /// On which machine.
        machine: usize,
    },
}

/// How a store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreFault {
    /// It says so and has done nothing.
    Unavailable,
    /// It has done it and cannot say so.
    LostReply,
    /// It answers late.
    Slow,
    /// Another writer comes first.
    Conflict,
    /// It wants to be left alone for a while: 429.
    TooMany,
}
