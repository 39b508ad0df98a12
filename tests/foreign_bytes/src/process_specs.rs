//! The `spec` of one process in a desired document: what a device makes of it.

use apollo_agent_core::supervise::DesiredItem;
use apollo_gateway::manifest;
use apollo_wire::{CanonicalSpec, DesiredProcess, ProcessSpec, SpecHash};
use serde_json::{Value, json, value::RawValue};

use crate::{
    memory::{BASE_BYTES, bounded},
    verdicts_and_desired::is_object,
};

/// What reading a spec may hold for each byte of it.
const FACTOR: usize = 64;

/// JSON text of a spec. It runs, or the field at fault is named; it has one canonical text and one hash; and what `apply`
/// takes, a device can run.
pub fn process_specs(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(spec) = RawValue::from_string(text.to_owned()) else {
        return;
    };
    let item = bounded(BASE_BYTES + FACTOR * bytes.len(), || read(spec));
    match &item {
        Ok(spec) => {
            assert!(is_object(bytes), "a spec is an object");
            assert!(spec.command.first().is_some_and(|program| !program.is_empty()));
            let text = serde_json::to_string(spec).expect("a spec has a JSON form");
            let again = read(RawValue::from_string(text).expect("that is JSON"));
            assert_eq!(again.as_ref(), Ok(spec));
        }
        Err(defect) => assert!(defect.starts_with("spec"), "{defect}"),
    }
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return;
    };
    let Ok(canonical) = CanonicalSpec::new(&value) else {
        return;
    };
    let again: Value = serde_json::from_str(canonical.json()).expect("canonical JSON is JSON");
    let again = CanonicalSpec::new(&again).expect("canonical JSON stays canonical");
    assert_eq!((again.json(), again.hash()), (canonical.json(), canonical.hash()));

    let object = json!({"apiVersion": manifest::API_VERSION, "kind": "DeviceProcess",
        "metadata": {"name": "a"}, "spec": value});
    if let Ok(manifest) = manifest::check_object(&object, None) {
        assert_runs(manifest.spec.json());
    }
}

/// Asserts that a device runs what `apply` took.
pub(crate) fn assert_runs(spec: &str) {
    let spec = RawValue::from_string(spec.to_owned()).expect("canonical JSON is JSON");
    let text = spec.get().to_owned();
    if let Err(defect) = read(spec) {
        panic!("apply takes {text}, no device runs it: {defect}");
    }
}

fn read(spec: Box<RawValue>) -> Result<ProcessSpec, String> {
    let process = DesiredProcess {
        namespace: "default".to_owned(),
        name: "a".to_owned(),
        generation: 1,
        spec_hash: SpecHash([0; 8]),
        spec,
    };
    let item = DesiredItem::read(&process).expect("the name is a name");
    item.spec
        .map(|spec| ProcessSpec::clone(&spec))
        .map_err(|defect| defect.to_string())
}
