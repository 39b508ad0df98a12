//! One observation of history as it is read back, and the numbers and words that stores keep for it.

use apollo_wire::{Clock, DeviceName, Epoch, GapReason, ProcessState, Sequence, UnixMillis};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

/// States as history stores them: position in this list. Appended to, never reordered.
pub(super) const STATES: [&str; 6] = ["Pending", "Running", "Backoff", "Succeeded", "Failed", "Stopped"];
/// Clocks as history stores them: position in this list.
pub(super) const CLOCKS: [&str; 3] = ["synced", "unsynced", "unknown"];

/// Which observations. Every condition that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservationFilter {
    /// Made by this device.
    pub device: Option<DeviceName>,
    /// About processes of this namespace.
    pub namespace: Option<String>,
    /// About processes of this name.
    pub name: Option<String>,
}

/// One observation of history: the report's fields, always all of them, and what the gateway knows about it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservationRecord {
    /// Who made it.
    pub device: String,
    /// Which life of the device, as a number.
    pub epoch: Epoch,
    /// Which life of the device, as its UUID.
    pub instance: String,
    /// Its sequence in that life.
    pub seq: Sequence,
    /// `namespace/name` of the process it is about.
    pub process: String,
    /// When, by the device's clock.
    pub observed_at: UnixMillis,
    /// When, corrected by the measured skew; `None` if unknown.
    pub corrected_at: Option<UnixMillis>,
    /// When the gateway received it.
    pub received_at: UnixMillis,
    /// What the device's clock was worth: `synced`, `unsynced` or `unknown`.
    pub clock: &'static str,
    /// The process's state.
    pub state: Option<&'static str>,
    /// Which spec it was running, 16 hex digits.
    pub spec_hash: Option<String>,
    /// Process id.
    pub pid: Option<u32>,
    /// Exit code.
    pub exit_code: Option<i32>,
    /// Restarts so far.
    pub restarts: Option<u32>,
    /// A word for machines.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// Measurements, as they were stored.
    pub values: Box<RawValue>,
    /// No such DeviceProcess existed when it arrived.
    pub orphaned: bool,
}

impl ObservationRecord {
    /// The measurements as a JSON value.
    pub fn values(&self) -> Value {
        serde_json::from_str(self.values.get()).unwrap_or(Value::Null)
    }
}

/// What a number stands for in one of the lists.
pub(super) fn name(list: &[&'static str], number: u8) -> Option<&'static str> {
    list.get(usize::from(number)).copied()
}

/// Position in [`CLOCKS`].
pub(super) fn clock_number(clock: Clock) -> u8 {
    match clock {
        Clock::Synced => 0,
        Clock::Unsynced => 1,
        Clock::Unknown => 2,
    }
}

/// Position in [`STATES`].
pub(super) fn state_number(state: ProcessState) -> u8 {
    match state {
        ProcessState::Pending => 0,
        ProcessState::Running => 1,
        ProcessState::Backoff => 2,
        ProcessState::Succeeded => 3,
        ProcessState::Failed => 4,
        ProcessState::Stopped => 5,
    }
}

/// The word for why sequences were lost.
pub(super) fn gap_reason(reason: GapReason) -> &'static str {
    match reason {
        GapReason::QueueFull => "QueueFull",
        GapReason::Purged => "Purged",
        GapReason::Corrupt => "Corrupt",
    }
}
