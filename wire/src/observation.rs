//! One thing a device saw about one process.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{ProcessRef, Sequence, SpecHash, UnixMillis, limits};

/// How far the device's clock could be trusted when it wrote `observed_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Disciplined by an outside source (NTP, GNSS).
    #[default]
    Synced,
    /// Free-running, but the same boot as the report: the report's skew corrects it.
    Unsynced,
    /// From an earlier boot without a synchronized clock: nothing relates it to the report's send time.
    Unknown,
}

/// The state of a supervised process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ProcessState {
    /// Known, not started yet.
    Pending,
    /// Started and not exited.
    Running,
    /// Exited; waiting before the next start.
    Backoff,
    /// Exited with code 0, and not to be started again.
    Succeeded,
    /// Exited otherwise or could not start, and not to be started again.
    Failed,
    /// Stopped because the desired state asked for it.
    Stopped,
}

/// A finite number. Written without a fraction where it has none, so that 5321 stays `5321` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Value(f64);

// Finite, and one zero only: equal numbers have equal bits.
impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Value {
    /// Accepts finite numbers only. Negative zero becomes zero: the two are equal, and one value has one encoding.
    pub fn new(number: f64) -> Option<Self> {
        number
            .is_finite()
            .then_some(Self(if number == 0.0 { 0.0 } else { number }))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The number as an integer, if it is one that doubles hold exactly (below 2^53).
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be integral and within 53 bits"
    )]
    pub fn as_integer(self) -> Option<i64> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        (self.0.fract() == 0.0 && self.0.abs() < EXACT).then_some(self.0 as i64)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_integer() {
            Some(integer) => serializer.serialize_i64(integer),
            None => serializer.serialize_f64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        Self::new(number).ok_or_else(|| serde::de::Error::custom("expected a finite number"))
    }
}

/// One observation. Its identity is (device, instance, `seq`); only the first three fields are required.
///
/// Absent and empty mean the same for every optional field: no state makes it history only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// The row's key in the device's queue.
    pub seq: Sequence,
    /// The DeviceProcess it is about.
    pub process: ProcessRef,
    /// When the device saw it, by the device's clock.
    pub observed_at: UnixMillis,
    /// What that clock was worth.
    #[serde(default, skip_serializing_if = "is_default")]
    pub clock: Clock,
    /// The process's state; without it the observation is history only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ProcessState>,
    /// Which spec the process was running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_hash: Option<SpecHash>,
    /// Process id on the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Exit code; 128 + N for an end by signal N.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// How often the supervisor has restarted the process since it learned of this spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u32>,
    /// A CamelCase word for machines.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Named measurements.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Value>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Which bound of the contract an observation breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// `seq` is 2^63 or more.
    #[error("seq {0} is not below 2^63")]
    Sequence(u64),
    /// `message` is too long.
    #[error("message has {0} bytes, at most {max} are allowed", max = limits::MESSAGE_BYTES)]
    Message(usize),
    /// `reason` is too long.
    #[error("reason has {0} bytes, at most {max} are allowed", max = limits::REASON_BYTES)]
    Reason(usize),
    /// Too many `values`.
    #[error("values has {0} entries, at most {max} are allowed", max = limits::VALUES)]
    Values(usize),
    /// The name of a value is empty or too long.
    #[error("a name in values has {0} bytes, 1 to {max} are allowed", max = limits::VALUE_NAME_BYTES)]
    ValueName(usize),
}

impl Observation {
    /// An observation with only the required fields.
    pub fn new(seq: Sequence, process: ProcessRef, observed_at: UnixMillis) -> Self {
        Self {
            seq,
            process,
            observed_at,
            clock: Clock::Synced,
            state: None,
            spec_hash: None,
            pid: None,
            exit_code: None,
            restarts: None,
            reason: String::new(),
            message: String::new(),
            values: BTreeMap::new(),
        }
    }

    /// Checks the contract's bounds that the types alone do not hold. The gateway refuses what fails as `Malformed`,
    /// the agent's intake says so at once.
    pub fn check(&self) -> Result<(), Defect> {
        if self.seq > limits::SEQUENCE_MAX {
            return Err(Defect::Sequence(self.seq));
        }
        if self.message.len() > limits::MESSAGE_BYTES {
            return Err(Defect::Message(self.message.len()));
        }
        if self.reason.len() > limits::REASON_BYTES {
            return Err(Defect::Reason(self.reason.len()));
        }
        if self.values.len() > limits::VALUES {
            return Err(Defect::Values(self.values.len()));
        }
        let bad_name = |name: &&String| name.is_empty() || name.len() > limits::VALUE_NAME_BYTES;
        match self.values.keys().find(bad_name) {
            Some(name) => Err(Defect::ValueName(name.len())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::*;

    const TWO_TO_53: f64 = 9_007_199_254_740_992.0;

    fn value(number: f64) -> Value {
        Value::new(number).expect("finite")
    }

    #[test]
    fn an_integer_is_one_up_to_the_last_that_doubles_count_and_not_one_past() {
        assert_eq!(value(TWO_TO_53 - 1.0).as_integer(), Some(9_007_199_254_740_991));
        assert_eq!(value(1.0 - TWO_TO_53).as_integer(), Some(-9_007_199_254_740_991));
        for other in [TWO_TO_53, -TWO_TO_53, 0.5] {
            assert_eq!(value(other).as_integer(), None, "{other}");
        }
    }

    #[test]
    fn both_zeros_are_one_value_with_one_hash_and_others_have_others() {
        let hash = |number| BuildHasherDefault::<DefaultHasher>::default().hash_one(value(number));
        assert_eq!((value(-0.0), hash(-0.0)), (value(0.0), hash(0.0)));
        assert_ne!(hash(1.0), hash(0.0));
    }
}
