//! Desired documents are equal only if nothing in them differs: agents compare them to tell whether to act.

#![allow(
    clippy::unwrap_used,
    reason = "the documents are valid, and a test fails by panicking"
)]

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
};

use apollo_wire::{DesiredProcess, DesiredState, SpecHash};

fn process() -> DesiredProcess {
    DesiredProcess {
        namespace: "default".to_owned(),
        name: "a".to_owned(),
        generation: 1,
        spec_hash: SpecHash([1; 8]),
        spec: serde_json::from_str(r#"{"command":["run"]}"#).unwrap(),
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn each_field_of_a_process_makes_a_difference() {
    let changes: [fn(&mut DesiredProcess); 5] = [
        |process| process.namespace.push('x'),
        |process| process.name.push('x'),
        |process| process.generation += 1,
        |process| process.spec_hash = SpecHash([2; 8]),
        |process| process.spec = serde_json::from_str(r#"{"command":["walk"]}"#).unwrap(),
    ];
    assert_eq!((process(), hash(&process())), (process(), hash(&process())));
    for change in changes {
        let mut other = process();
        change(&mut other);
        assert_ne!(other, process());
        assert_ne!(hash(&other), hash(&process()), "{other:?}");
    }
}

#[test]
fn a_document_differs_by_its_device_and_by_its_processes() {
    let document = |device: &str, processes| DesiredState {
        device: device.parse().unwrap(),
        processes,
    };
    assert_eq!(
        document("buoy", vec![process()]),
        document("buoy", vec![process()])
    );
    assert_ne!(
        document("buoy", vec![process()]),
        document("kite", vec![process()])
    );
    assert_ne!(document("buoy", vec![process()]), document("buoy", vec![]));
}
