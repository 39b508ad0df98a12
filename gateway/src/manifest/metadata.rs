//! `metadata`: name, namespace, labels and annotations, by the rules of Kubernetes.

use std::collections::BTreeMap;

use apollo_wire::{DeviceName, ProcessRef};
use serde_json::Value;

use super::{
    Kind, ObjectKey,
    fields::{Fields, Problems},
};

/// Longest label value and longest name part of a label key, bytes (Kubernetes, "Labels and Selectors").
const LABEL_BYTES: usize = 63;
/// Most bytes of all annotations of an object (Kubernetes, "Annotations").
const ANNOTATIONS_BYTES: usize = 256 * 1024;

/// What people write. Fields that only servers write (uid, resourceVersion ...) are taken and left alone, so that the
/// output of `get -o yaml` can be applied again.
const FIELDS: [&str; 4] = ["name", "namespace", "labels", "annotations"];
const SERVER_FIELDS: [&str; 7] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "selfLink",
    "deletionTimestamp",
];

/// Checked metadata.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) key: ObjectKey,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// Checks metadata as it was written. `namespace` is the one of the command line.
pub(super) fn check(
    metadata: &Value,
    kind: Kind,
    namespace: Option<&str>,
    problems: &mut Problems,
) -> Option<Metadata> {
    let fields = Fields::of("metadata", metadata, problems)?;
    let known: Vec<&str> = FIELDS.into_iter().chain(SERVER_FIELDS).collect();
    fields.only(&known, problems);
    let labels = check_labels(&fields, problems);
    let annotations = check_annotations(&fields, problems);
    let written = fields.optional_text("namespace", problems);
    let name = fields.required_text("name", "the name of the object", problems)?;
    let namespace = check_namespace(kind, written, namespace, problems)?;
    let valid = match kind {
        Kind::Device => name.parse::<DeviceName>().map(drop),
        Kind::DeviceProcess => ProcessRef::new(&namespace, name).map(drop),
    };
    if let Err(error) = valid {
        let path = if error.to_string().starts_with("namespace") {
            "metadata.namespace"
        } else {
            "metadata.name"
        };
        problems.note(path, error.to_string());
        return None;
    }
    let key = ObjectKey {
        kind,
        namespace,
        name: name.to_owned(),
    };
    Some(Metadata {
        key,
        labels,
        annotations,
    })
}

/// The namespace an object belongs to: as kubectl, the file's and the command line's must agree.
fn check_namespace(
    kind: Kind,
    written: Option<&str>,
    asked: Option<&str>,
    problems: &mut Problems,
) -> Option<String> {
    if !kind.is_namespaced() {
        if let Some(written) = written {
            problems.note(
                "metadata.namespace",
                format!("a {kind} belongs to no namespace, got {written:?}"),
            );
        }
        return Some(String::new());
    }
    match (written, asked) {
        (Some(written), Some(asked)) if written != asked => {
            problems.note(
                "metadata.namespace",
                format!("expected {asked:?}, as --namespace says, got {written:?}"),
            );
            None
        }
        (written, asked) => Some(written.or(asked).unwrap_or(super::DEFAULT_NAMESPACE).to_owned()),
    }
}

fn check_labels(fields: &Fields<'_>, problems: &mut Problems) -> BTreeMap<String, String> {
    let labels = fields.text_map("labels", problems);
    for (key, value) in &labels {
        check_key("labels", key, problems);
        if !value.is_empty() && !is_qualified(value) {
            problems.note(
                format!("metadata.labels.{key}"),
                format!(
                    "expected at most {LABEL_BYTES} letters, digits, '-', '_' and '.', starting and ending with a \
                     letter or digit, got {value:?}"
                ),
            );
        }
    }
    owned(labels)
}

fn check_annotations(fields: &Fields<'_>, problems: &mut Problems) -> BTreeMap<String, String> {
    let annotations = fields.text_map("annotations", problems);
    let bytes: usize = annotations
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if bytes > ANNOTATIONS_BYTES {
        problems.note(
            "metadata.annotations",
            format!("expected at most {ANNOTATIONS_BYTES} bytes in all, got {bytes}"),
        );
    }
    for (key, _) in &annotations {
        check_key("annotations", key, problems);
    }
    owned(annotations)
}

fn owned(map: Vec<(&String, &str)>) -> BTreeMap<String, String> {
    map.into_iter()
        .map(|(key, value)| (key.clone(), value.to_owned()))
        .collect()
}

/// `[PREFIX/]NAME`: the prefix a DNS-1123 subdomain, the name like a label value but not empty.
fn check_key(field: &str, key: &str, problems: &mut Problems) {
    let (prefix, name) = key
        .split_once('/')
        .map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let prefix_is_valid = prefix.is_none_or(|prefix| prefix.parse::<DeviceName>().is_ok());
    if !prefix_is_valid || !is_qualified(name) {
        problems.note(
            format!("metadata.{field}"),
            format!("expected keys of the form [PREFIX/]NAME as Kubernetes has them, got {key:?}"),
        );
    }
}

fn is_qualified(name: &str) -> bool {
    name.len() <= LABEL_BYTES
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
}
