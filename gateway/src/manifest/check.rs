//! From a JSON value to a [`Manifest`], or to the list of what is wrong with it.

use apollo_wire::{CanonicalSpec, DeviceName};
use serde_json::{Value, json};

use super::{
    API_VERSION, Kind, Manifest, device,
    fields::{Fields, Problem, Problems},
    metadata, process,
};

/// Checks one object as it was written. `namespace` is the command line's, for objects that name none.
pub fn check_object(object: &Value, namespace: Option<&str>) -> Result<Manifest, Vec<Problem>> {
    let mut problems = Problems::default();
    match check(object, namespace, &mut problems) {
        Some(manifest) if problems.is_empty() => Ok(manifest),
        _ => Err(problems.into_vec()),
    }
}

fn check(object: &Value, namespace: Option<&str>, problems: &mut Problems) -> Option<Manifest> {
    let fields = Fields::of("", object, problems)?;
    let kind = check_kind(&fields, problems)?;
    // `status` is the gateway's to write; kubectl ignores it in what is applied, and so does this.
    fields.only(&["apiVersion", "kind", "metadata", "spec", "status"], problems);
    refuse_nulls("spec", fields.optional("spec"), problems);
    let metadata = fields
        .required("metadata", "{name: NAME}", problems)
        .and_then(|metadata| metadata::check(metadata, kind, namespace, problems));
    let empty = json!({});
    let (spec, device) = match kind {
        Kind::Device => {
            let spec = fields.optional("spec").unwrap_or(&empty);
            device::check(spec, problems);
            (spec, None)
        }
        Kind::DeviceProcess => {
            let spec = fields.required("spec", "an object", problems)?;
            (spec, process::check(spec, problems))
        }
    };
    let metadata = metadata?;
    match CanonicalSpec::new(spec) {
        Ok(spec) => Some(Manifest {
            key: metadata.key,
            labels: metadata.labels,
            annotations: metadata.annotations,
            spec,
            device,
        }),
        Err(error) => {
            problems.note("spec", error.to_string());
            None
        }
    }
}

fn check_kind(fields: &Fields<'_>, problems: &mut Problems) -> Option<Kind> {
    let expected_version = format!("expected {API_VERSION}");
    let version = fields.required_text("apiVersion", API_VERSION, problems);
    let kind = fields.required_text("kind", "Device or DeviceProcess", problems);
    if let Some(version) = version
        && version != API_VERSION
    {
        problems.note("apiVersion", format!("{expected_version}, got {version:?}"));
        return None;
    }
    match (version, kind?) {
        (Some(_), "Device") => Some(Kind::Device),
        (Some(_), "DeviceProcess") => Some(Kind::DeviceProcess),
        (None, _) => None,
        (_, other) => {
            problems.note("kind", format!("expected Device or DeviceProcess, got {other:?}"));
            None
        }
    }
}

/// A null is neither a value nor an absence: an API server drops it, which changes the hash of what was written.
fn refuse_nulls(path: &str, value: Option<&Value>, problems: &mut Problems) {
    match value {
        Some(Value::Null) => problems.note(path, "expected a value, got null; leave the field out"),
        Some(Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                refuse_nulls(&format!("{path}[{index}]"), Some(item), problems);
            }
        }
        Some(Value::Object(map)) => {
            for (field, item) in map {
                refuse_nulls(&format!("{path}.{field}"), Some(item), problems);
            }
        }
        _ => {}
    }
}

impl Manifest {
    /// A Device with an empty spec, as the gateway registers it at its first report.
    pub fn empty_device(device: &DeviceName) -> Result<Self, apollo_wire::CanonicalSpecError> {
        Ok(Self {
            key: super::ObjectKey {
                kind: Kind::Device,
                namespace: String::new(),
                name: device.as_str().to_owned(),
            },
            labels: Default::default(),
            annotations: Default::default(),
            spec: CanonicalSpec::new(&json!({}))?,
            device: None,
        })
    }
}
