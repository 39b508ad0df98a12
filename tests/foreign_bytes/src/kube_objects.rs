//! Objects as an API server sends them: what people and other controllers put there, past the schema too.

use apollo_gateway::{manifest::Kind, store::kube::written_back};
use serde_json::Value;

use crate::memory::bounded;

/// What reading one object may hold: its JSON as values, twice, and what the core makes of it.
const BASE_BYTES: usize = 256 * 1024;
/// See [`BASE_BYTES`]: a value of one byte is kept in some tens.
const FACTOR: usize = 512;
/// The types of condition that are the gateway's to write.
const OWN: [&str; 3] = ["AgentConnected", "Ready", "ClockSynchronized"];

/// A first byte that chooses the kind, then the object. One that is taken and written back as it was read takes nothing
/// away from others: their conditions stay to the letter and in their order.
pub fn kube_objects(bytes: &[u8]) {
    let Some((choice, json)) = bytes.split_first() else {
        return;
    };
    let kind = if choice.is_ascii_uppercase() {
        Kind::Device
    } else {
        Kind::DeviceProcess
    };
    let read = bounded(BASE_BYTES + FACTOR * bytes.len(), || written_back(kind, json));
    let back = match read {
        Ok(back) => back,
        Err(line) => {
            assert!(!line.is_empty(), "a refusal says why");
            return;
        }
    };
    let Some(patch) = back.patch else {
        return;
    };
    assert!(patch["metadata"]["resourceVersion"].is_string(), "{patch}");
    let Some(written) = patch["status"].get("conditions") else {
        return;
    };
    let others = |list: Option<&Value>| -> Vec<Value> {
        let list = list.and_then(Value::as_array).cloned().unwrap_or_default();
        let is_other = |condition: &Value| condition["type"].as_str().is_none_or(|kind| !OWN.contains(&kind));
        list.into_iter().filter(is_other).collect()
    };
    assert_eq!(
        others(Some(written)),
        others(back.stored.get("conditions")),
        "conditions of others"
    );
}
