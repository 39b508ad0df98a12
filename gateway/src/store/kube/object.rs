//! An object of the API server as the core knows it: only what the gateway needs is kept.

use apollo_gateway_core::object::{
    DeviceObject, DeviceStatus, ProcessObject, ProcessStatus, ResourceVersion, Versioned,
};
use apollo_wire::{CanonicalSpec, DeviceName, ProcessRef, ProcessSpec};
use kube::{
    api::ApiResource,
    core::{GroupVersionKind, Object},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::manifest::{DeviceSpec, GROUP, Kind, VERSION, desired_phase};

/// An object as the API server sends it. Spec and status are read one by one: one object that cannot be read must not
/// hide the others of a list.
pub(super) type RawObject = Object<Option<Value>, Value>;

/// How the API server names a kind.
pub(super) fn resource(kind: Kind) -> ApiResource {
    let plural = match kind {
        Kind::Device => "devices",
        Kind::DeviceProcess => "deviceprocesses",
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind.as_str()), plural)
}

/// An object that was read, at its version.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known<T> {
    /// What the core works with.
    pub read: Versioned<T>,
    /// The status as the API server has it, if writing the core's form of it would not give the same: conditions of other
    /// writers may have fields we do not know, and they are theirs.
    pub raw_status: Option<Box<Map<String, Value>>>,
}

/// An object that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{kind} {name}: {detail}")]
pub(super) struct Unreadable {
    kind: Kind,
    name: String,
    /// Which field, and what is wrong with it.
    pub(super) detail: String,
}

/// A kind of object the store keeps.
pub(super) trait Stored: Clone + Send + Sync + 'static {
    /// Its kind.
    const KIND: Kind;
    /// What it is known by.
    type Key: Clone + Eq + std::hash::Hash + Send + Sync + 'static;
    /// Its status.
    type Status: Serialize + DeserializeOwned + Default;

    /// This object's key.
    fn key(&self) -> Self::Key;
    /// The key in an object's metadata.
    fn key_of(raw: &RawObject) -> Result<Self::Key, String>;
    /// Its status.
    fn status(&self) -> &Self::Status;
    /// Reads the rest of it.
    fn of(key: Self::Key, generation: i64, spec: &Value, status: Self::Status) -> Result<Self, String>;
}

/// Reads an object.
///
/// A status that does not fit its type (somebody edited it past the schema) counts as empty: it is a record of what was
/// observed, and the next report writes it anew. A spec that does not fit cannot be run, so the object is left out.
pub(super) fn known<T: Stored>(raw: &RawObject) -> Result<Known<T>, Unreadable> {
    let refused = |detail: String| Unreadable {
        kind: T::KIND,
        name: name(raw),
        detail,
    };
    let key = T::key_of(raw).map_err(refused)?;
    let version = raw.metadata.resource_version.clone().unwrap_or_default();
    let generation = raw.metadata.generation.unwrap_or_default();
    let empty = Value::Object(Map::new());
    let spec = raw.spec.as_ref().unwrap_or(&empty);
    let stored = raw.status.as_ref().and_then(Value::as_object);
    let status = raw.status.as_ref().map(T::Status::deserialize);
    let status = match status {
        Some(Err(error)) => {
            tracing::error!(
                kind = T::KIND.as_str(),
                name = name(raw),
                %error,
                "a status cannot be read; the next report writes it anew"
            );
            T::Status::default()
        }
        Some(Ok(status)) => status,
        None => T::Status::default(),
    };
    let object = T::of(key, generation, spec, status).map_err(refused)?;
    let ours = own_form(object.status());
    let raw_status = stored
        .filter(|stored| ours.as_ref() != Some(*stored))
        .map(|stored| Box::new(stored.clone()));
    Ok(Known {
        read: Versioned {
            version: ResourceVersion(version),
            object,
        },
        raw_status,
    })
}

/// A status as the core would write it.
pub(super) fn own_form(status: &impl Serialize) -> Option<Map<String, Value>> {
    match serde_json::to_value(status) {
        Ok(Value::Object(map)) => Some(map),
        // Statuses are structs with text keys and finite numbers.
        _ => None,
    }
}

/// `namespace/name`, or the name alone.
pub(super) fn name(raw: &RawObject) -> String {
    let name = raw.metadata.name.as_deref().unwrap_or_default();
    match raw.metadata.namespace.as_deref() {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

impl Stored for ProcessObject {
    const KIND: Kind = Kind::DeviceProcess;
    type Key = ProcessRef;
    type Status = ProcessStatus;

    fn key(&self) -> ProcessRef {
        self.process.clone()
    }

    fn key_of(raw: &RawObject) -> Result<ProcessRef, String> {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        ProcessRef::new(&text(&raw.metadata.namespace), &text(&raw.metadata.name))
            .map_err(|error| format!("metadata.name: {error}"))
    }

    fn status(&self) -> &ProcessStatus {
        &self.status
    }

    fn of(process: ProcessRef, generation: i64, spec: &Value, status: ProcessStatus) -> Result<Self, String> {
        let parsed = ProcessSpec::deserialize(spec).map_err(|error| format!("spec: {error}"))?;
        Ok(Self {
            process,
            wants: desired_phase(&parsed),
            device: parsed.device_ref.name,
            generation,
            spec: CanonicalSpec::new(spec).map_err(|error| format!("spec: {error}"))?,
            status,
        })
    }
}

impl Stored for DeviceObject {
    const KIND: Kind = Kind::Device;
    type Key = DeviceName;
    type Status = DeviceStatus;

    fn key(&self) -> DeviceName {
        self.device.clone()
    }

    fn key_of(raw: &RawObject) -> Result<DeviceName, String> {
        let name = raw.metadata.name.as_deref().unwrap_or_default();
        name.parse()
            .map_err(|error: apollo_wire::NameError| format!("metadata.name: {error}"))
    }

    fn status(&self) -> &DeviceStatus {
        &self.status
    }

    fn of(device: DeviceName, _: i64, spec: &Value, status: DeviceStatus) -> Result<Self, String> {
        let spec = DeviceSpec::deserialize(spec).map_err(|error| format!("spec: {error}"))?;
        // The schema lets few of these pass. One that does must not keep the device from being served.
        let stale_after_ms = spec.stale_after_ms().unwrap_or_else(|error| {
            tracing::error!(%device, %error, "spec.staleAfter cannot be read; the gateway's own window counts");
            None
        });
        Ok(Self {
            device,
            blocked: spec.blocked,
            stale_after_ms,
            status,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn raw(value: Value) -> RawObject {
        serde_json::from_value(value).unwrap()
    }

    fn process(status: Value) -> RawObject {
        raw(json!({
            "apiVersion": "apollo.azure.com/v1alpha1", "kind": "DeviceProcess",
            "metadata": {"name": "p", "namespace": "default", "resourceVersion": "7", "generation": 2},
            "spec": {"deviceRef": {"name": "buoy"}, "command": ["/bin/true"]},
            "status": status,
        }))
    }

    #[test]
    fn a_device_without_a_spec_and_status_has_defaults() {
        let device: Known<DeviceObject> = known(&raw(
            json!({"metadata": {"name": "buoy", "resourceVersion": "3"}}),
        ))
        .unwrap();
        assert_eq!(device.read.version, ResourceVersion("3".to_owned()));
        assert!(!device.read.object.blocked);
        assert_eq!(device.read.object.status, DeviceStatus::default());
        assert_eq!(device.raw_status, None);
    }

    #[test]
    fn a_status_of_our_own_is_kept_once_and_one_with_more_in_it_also_as_it_is() {
        let own = json!({"state": "Running", "sync": {"epoch": 1, "sequence": 4}});
        let read: Known<ProcessObject> = known(&process(own)).unwrap();
        assert_eq!((read.read.object.generation, read.raw_status), (2, None));
        let foreign = json!({"conditions": [{"type": "Audited", "status": "True", "by": "others"}]});
        let read: Known<ProcessObject> = known(&process(foreign.clone())).unwrap();
        assert_eq!(read.read.object.status.conditions.len(), 1);
        assert_eq!(read.raw_status.map(|raw| Value::Object(*raw)), Some(foreign));
    }

    #[test]
    fn a_status_that_cannot_be_read_counts_as_empty_and_a_spec_that_cannot_names_the_field() {
        let read: Known<ProcessObject> = known(&process(json!({"observedSpecHash": "not a hash"}))).unwrap();
        assert_eq!(read.read.object.status, ProcessStatus::default());
        assert!(read.raw_status.is_some());
        let mut bad = process(json!({}));
        bad.spec = Some(json!({"deviceRef": {"name": "buoy"}}));
        let error = known::<ProcessObject>(&bad).unwrap_err().to_string();
        assert!(error.starts_with("DeviceProcess default/p: spec: "), "{error}");
    }
}
