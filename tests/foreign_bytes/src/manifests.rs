//! Manifests of `apply`: YAML or JSON files of people and generators.

use apollo_gateway::manifest::{self, Kind, Manifest};
use serde_json::{Value, json};

use crate::{memory::bounded, process_specs::assert_runs};

/// What reading a file may hold: the parser's tables, and for each byte an empty document with its file's name.
const BASE_BYTES: usize = 4 * 1024 * 1024;
/// See [`BASE_BYTES`].
const FACTOR: usize = 1024;
/// Most problems told of one object.
const PROBLEMS_MAX: usize = 20;

/// The text of a file. An object that is taken, written as JSON, is the same object, and a device runs it; one that is
/// not says which fields are wrong.
pub fn manifests(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let documents = bounded(BASE_BYTES + FACTOR * bytes.len(), || {
        manifest::documents("stdin", text)
    });
    let documents = match documents {
        Ok(documents) => documents,
        Err(error) => {
            let text = error.to_string();
            assert!(text.starts_with("stdin: ") && !text.contains('\n'), "{text}");
            return;
        }
    };
    for document in documents {
        match manifest::check_object(&document.value, None) {
            Ok(manifest) => check_taken(&manifest),
            Err(problems) => {
                assert!((1..=PROBLEMS_MAX).contains(&problems.len()), "{problems:?}");
                assert!(problems.iter().all(|problem| !problem.what.is_empty()));
                let whole = problems.iter().any(|problem| problem.path.is_empty());
                assert!(!whole, "a problem has a place: {problems:?}");
            }
        }
    }
}

fn check_taken(manifest: &Manifest) {
    let text = as_json(manifest).to_string();
    let documents = manifest::documents("stdin", &text).expect("JSON is YAML");
    let [document] = documents.as_slice() else {
        panic!("one object is one document: {text}");
    };
    let again = manifest::check_object(&document.value, None);
    assert_eq!(again.as_ref(), Ok(manifest), "{text}");
    if manifest.key.kind == Kind::DeviceProcess {
        assert!(manifest.device.is_some());
        assert_runs(manifest.spec.json());
    }
}

fn as_json(manifest: &Manifest) -> Value {
    let mut metadata = json!({
        "name": manifest.key.name,
        "labels": manifest.labels,
        "annotations": manifest.annotations,
    });
    if manifest.key.kind.is_namespaced() {
        metadata["namespace"] = json!(manifest.key.namespace);
    }
    let spec: Value = serde_json::from_str(manifest.spec.json()).expect("canonical JSON is JSON");
    json!({"apiVersion": manifest::API_VERSION, "kind": manifest.key.kind.as_str(), "metadata": metadata, "spec": spec})
}
