//! The two kinds of object as both stores keep them: `Device` and `DeviceProcess` (docs/objects.md).

use apollo_wire::{
    CanonicalSpec, DeviceName, Epoch, InstanceId, ProcessRef, ProcessState, QueueDepth, Sequence, SpecHash,
    UnixMillis,
};
use serde::{Deserialize, Serialize};

/// Opaque version of a stored object, for compare-and-swap. Only equality means anything (Kubernetes API
/// conventions).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceVersion(pub String);

/// An object and the version it was read at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Versioned<T> {
    /// What a write must name to succeed.
    pub version: ResourceVersion,
    /// The object as it was at that version.
    pub object: T,
}

/// What the gateway keeps of a DeviceProcess.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProcessObject {
    /// `namespace/name`.
    pub process: ProcessRef,
    /// `spec.deviceRef.name`: the only device that may report on it.
    pub device: DeviceName,
    /// `metadata.generation`.
    pub generation: i64,
    /// The spec's hash and canonical text, made once when the object was read.
    pub spec: CanonicalSpec,
    /// What the spec asks the process to be, for the `Ready` condition.
    pub wants: DesiredPhase,
    /// The status subresource.
    pub status: ProcessStatus,
}

/// Which states satisfy a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DesiredPhase {
    /// `restartPolicy: Always`: Running.
    Running,
    /// `restartPolicy: OnFailure` or `Never`: Running or Succeeded.
    RunningOrSucceeded,
    /// `suspend: true`: Stopped.
    Stopped,
}

/// `status` of a DeviceProcess. Everything but `last_report_time` and the conditions comes from the one
/// observation with the greatest (epoch, sequence).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProcessStatus {
    /// The process's state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ProcessState>,
    /// Which spec the observation was about, 16 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub observed_spec_hash: Option<SpecHash>,
    /// The generation whose spec has that hash, if it was the current one when the observation was joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Process id on the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Exit code; 128 + N for an end by signal N.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// How often the supervisor restarted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u32>,
    /// A CamelCase word for machines.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// A sentence for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it was observed, corrected by the device's measured skew.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub last_observed_time: Option<UnixMillis>,
    /// When the gateway wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub last_report_time: Option<UnixMillis>,
    /// The device that made that observation. Positions of different devices do not compare, so after the
    /// process is bound to another device this tells that `sync` no longer guards it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub observed_device: Option<DeviceName>,
    /// Identity of that observation: the guard of the join.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncPoint>,
    /// `AgentConnected`, `Ready`, and conditions of other writers, which are kept as they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Fields of other writers, kept as they are.
    #[serde(flatten)]
    #[schemars(skip)]
    pub foreign: serde_json::Map<String, serde_json::Value>,
}

/// Position of an observation in a device's life; ordered by epoch, then sequence.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct SyncPoint {
    /// The instance's epoch.
    pub epoch: Epoch,
    /// The observation's sequence.
    pub sequence: Sequence,
}

/// One condition, shaped as `metav1.Condition`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which condition.
    #[serde(rename = "type")]
    pub kind: String,
    /// "True", "False" or "Unknown".
    pub status: String,
    /// A CamelCase word for machines.
    #[serde(default)]
    pub reason: String,
    /// A sentence for people.
    #[serde(default)]
    pub message: String,
    /// When `status` last changed, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<String>,
    /// The generation it was computed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// What the gateway keeps of a Device.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeviceObject {
    /// Its name, as in its certificate.
    pub device: DeviceName,
    /// `spec.blocked`: refuse everything it sends.
    pub blocked: bool,
    /// `spec.staleAfter` in milliseconds; the gateway's default if absent.
    pub stale_after_ms: Option<u64>,
    /// The status subresource.
    pub status: DeviceStatus,
}

/// `status` of a Device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeviceStatus {
    /// Liveness.
    pub state: DeviceState,
    /// When the device last reported, to the coalescing interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub last_heartbeat_time: Option<UnixMillis>,
    /// When it means to call next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub next_contact_time: Option<UnixMillis>,
    /// The agent's version, as it last said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// The instances the gateway has met, in the order of their epochs. The oldest are forgotten beyond a
    /// bound (`epoch`), the others keep their epochs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<InstanceStatus>,
    /// The device's queue, as it last said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueDepth>,
    /// The device's clock minus the gateway's, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew_ms: Option<i64>,
    /// `ClockSynchronized`, and conditions of other writers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Fields of other writers, kept as they are.
    #[serde(flatten)]
    #[schemars(skip)]
    pub foreign: serde_json::Map<String, serde_json::Value>,
}

/// One life of a device's queue database.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// The instance.
    #[schemars(with = "String")]
    pub id: InstanceId,
    /// Its epoch.
    pub epoch: Epoch,
    /// The highest sequence known to be settled; may lag, never leads.
    pub highest_sequence: Sequence,
}

/// A device's liveness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub enum DeviceState {
    /// Reported within its staleness window.
    Connected,
    /// Silent, but before the time it said it would call next, plus grace.
    Sleeping,
    /// Silent beyond that.
    Lost,
    /// `spec.blocked`.
    Blocked,
    /// Never reported.
    #[default]
    Unknown,
}
