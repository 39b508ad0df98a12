//! Reading one observation of a report: whatever is wrong with it is said about it alone.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::fields::quoted;
use crate::{Malformed, Observation, Sequence, Value, limits};

/// Only the sequence, to be read even when the rest is wrong.
#[derive(Deserialize)]
struct Key<'a> {
    #[serde(borrow, default)]
    seq: Option<&'a RawValue>,
}

/// Every other field as uninterpreted text, so that one bad number does not spoil the others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow, default)]
    process: Option<&'a RawValue>,
    #[serde(borrow, default)]
    observed_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    clock: Option<&'a RawValue>,
    #[serde(borrow, default)]
    state: Option<&'a RawValue>,
    #[serde(borrow, default)]
    spec_hash: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pid: Option<&'a RawValue>,
    #[serde(borrow, default)]
    exit_code: Option<&'a RawValue>,
    #[serde(borrow, default)]
    restarts: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    values: Option<&'a RawValue>,
}

/// One element of `observations`, which the caller knows to be an object: `None` if not even its sequence can be read.
pub(super) fn decode(raw: &RawValue) -> Option<Result<Observation, Malformed>> {
    let key: Key = serde_json::from_str(raw.get()).ok()?;
    let seq: Sequence = serde_json::from_str(key.seq?.get()).ok()?;
    Some(fields(seq, raw).map_err(|message| Malformed { seq, message }))
}

fn fields(seq: Sequence, raw: &RawValue) -> Result<Observation, String> {
    let fields: Fields =
        serde_json::from_str(raw.get()).map_err(|_| "expected every field at most once".to_owned())?;
    let process = read(fields.process, "process", "NAMESPACE/NAME, both DNS-1123 names")?;
    let observed_at = read(
        fields.observed_at,
        "observedAt",
        "an RFC 3339 time such as 2026-11-23T10:00:00.000Z",
    )?;
    let (Some(process), Some(observed_at)) = (process, observed_at) else {
        return Err("process and observedAt are required".to_owned());
    };
    let mut observation = Observation::new(seq, process, observed_at);
    observation.clock = read(fields.clock, "clock", "synced, unsynced or unknown")?.unwrap_or_default();
    observation.state = read(
        fields.state,
        "state",
        "one of Pending, Running, Backoff, Succeeded, Failed, Stopped",
    )?;
    observation.spec_hash = read(fields.spec_hash, "specHash", "16 lower-case hex digits")?;
    observation.pid = read(fields.pid, "pid", "a whole number from 0 to 4294967295")?;
    observation.exit_code = read(
        fields.exit_code,
        "exitCode",
        "a whole number from -2147483648 to 2147483647",
    )?;
    observation.restarts = read(fields.restarts, "restarts", "a whole number from 0 to 4294967295")?;
    observation.reason = read(fields.reason, "reason", "text")?.unwrap_or_default();
    observation.message = read(fields.message, "message", "text")?.unwrap_or_default();
    let values: Option<Measurements> = read(
        fields.values,
        "values",
        "an object of at most 32 names, each once, with finite numbers",
    )?;
    observation.values = values.map(|measurements| measurements.0).unwrap_or_default();
    match observation.check() {
        Ok(()) => Ok(observation),
        Err(defect) => Err(defect.to_string()),
    }
}

fn read<T: DeserializeOwned>(
    raw: Option<&RawValue>,
    field: &str,
    expected: &str,
) -> Result<Option<T>, String> {
    let Some(raw) = raw else { return Ok(None) };
    serde_json::from_str(raw.get())
        .map_err(|_| format!("{field}: expected {expected}, found {}", quoted(raw)))
}

/// `values` as JSON has them: every name once, cut off at [`limits::VALUES`] while they are read. A plain map would keep
/// the last of two measurements of one name and lose the other unseen.
#[derive(Debug, Default)]
pub struct Measurements(pub BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Measurements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Measurements;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Measurements, A::Error> {
                let mut values = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if values.len() == limits::VALUES {
                        return Err(A::Error::custom(format_args!(
                            "more than {} values",
                            limits::VALUES
                        )));
                    }
                    match values.entry(name) {
                        Entry::Vacant(place) => drop(place.insert(value)),
                        Entry::Occupied(place) => {
                            return Err(A::Error::custom(format_args!(
                                "{:?} stands there twice",
                                place.key()
                            )));
                        }
                    }
                }
                Ok(Measurements(values))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
