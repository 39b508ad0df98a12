//! `deploy/crds/*.yaml` is what `apollo-gateway crds` prints, and its schema knows the fields that `apply` knows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::{collections::BTreeSet, path::Path};

use apollo_gateway::crds;
use serde_json::{Value, json};

fn version(index: usize) -> Value {
    let definition = serde_json::to_value(&crds::definitions()[index].1).unwrap();
    definition["spec"]["versions"][0].clone()
}

#[test]
fn the_files_are_what_the_types_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/crds");
    for (file, definition) in crds::definitions() {
        let path = directory.join(file);
        let made = crds::yaml(&definition).unwrap();
        if std::env::var_os("APOLLO_WRITE_FIXTURES").is_some() {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(&path, &made).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            written, made,
            "{file}: write it anew with APOLLO_WRITE_FIXTURES=1"
        );
    }
}

#[test]
fn processes_can_be_selected_by_device_and_have_a_status() {
    let version = version(1);
    assert_eq!(
        version["selectableFields"],
        json!([{"jsonPath": ".spec.deviceRef.name"}])
    );
    assert_eq!(version["subresources"], json!({"status": {}}));
}

/// A default or a null in a stored spec would change its hash.
#[test]
fn specs_have_no_defaults_and_no_nulls() {
    for index in [0, 1] {
        let text = version(index)["schema"]["openAPIV3Schema"]["properties"]["spec"].to_string();
        assert!(
            !text.contains("\"default\":") && !text.contains("nullable"),
            "{text}"
        );
    }
}

/// What `kubectl apply` would warn of, and what the schema adds to the types has its place in them.
#[test]
fn formats_are_those_of_openapi_and_every_addition_is_there() {
    let text = format!("{} {}", version(0), version(1));
    assert!(!text.contains("uint"), "{text}");
    for expected in [
        "x-kubernetes-list-map-keys",
        "x-kubernetes-validations",
        "self[0] != ''",
        "1s to 366d",
        r"^[^\\x00]*$",
        "^[0-9a-f]{16}$",
        "^[0-9a-f]{8}(-",
    ] {
        assert!(text.contains(expected), "{expected}");
    }
}

#[test]
fn the_schema_knows_the_fields_of_a_spec() {
    let schema = version(1)["schema"]["openAPIV3Schema"]["properties"]["spec"].clone();
    let known: BTreeSet<&str> = schema["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let fields = [
        "args",
        "command",
        "deviceRef",
        "env",
        "restartPolicy",
        "stopGracePeriodSeconds",
        "suspend",
        "workingDirectory",
    ];
    assert_eq!(known, fields.into());
    assert_eq!(schema["required"], json!(["command", "deviceRef"]));
}
