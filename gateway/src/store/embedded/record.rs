//! A row of `objects`: read from SQLite, and turned into what the core and people see.

use std::collections::BTreeMap;

use apollo_gateway_core::object::{DeviceObject, ProcessObject, ResourceVersion, Versioned};
use apollo_wire::{CanonicalSpec, DeviceName, ProcessRef, ProcessSpec, UnixMillis};
use rusqlite::Row;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::StoreError;
use crate::manifest::{DeviceSpec, Kind, ObjectKey, desired_phase};

/// The columns that [`ObjectRecord::read`] expects, in its order.
pub(super) const COLUMNS: &str = "kind, namespace, name, uid, resource_version, generation, created_at_ms, \
     labels_json, annotations_json, spec_json, status_json";

/// Where in [`COLUMNS`] the resourceVersion is.
pub(super) const RESOURCE_VERSION: usize = 4;

/// A stored object with all its metadata; specs and statuses are still text.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectRecord {
    /// Which object.
    pub key: ObjectKey,
    /// `metadata.uid`: given at creation.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: i64,
    /// `metadata.generation`: raised by each change of the spec.
    pub generation: i64,
    /// `metadata.creationTimestamp`.
    pub created_at: UnixMillis,
    labels_json: String,
    annotations_json: String,
    spec_json: String,
    status_json: String,
}

impl ObjectRecord {
    /// Reads a row that was selected with [`COLUMNS`].
    pub(super) fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        let kind: String = row.get(0)?;
        let namespace: String = row.get(1)?;
        let name: String = row.get(2)?;
        let kind = kind.parse::<Kind>().map_err(|error| StoreError::Damaged {
            object: format!("{kind} {namespace}/{name}"),
            detail: error.to_string(),
        })?;
        Ok(Self {
            key: ObjectKey {
                kind,
                namespace,
                name,
            },
            uid: row.get(3)?,
            resource_version: row.get(RESOURCE_VERSION)?,
            generation: row.get(5)?,
            created_at: UnixMillis::saturating(row.get(6)?),
            labels_json: row.get(7)?,
            annotations_json: row.get(8)?,
            spec_json: row.get(9)?,
            status_json: row.get(10)?,
        })
    }

    /// `metadata.labels`.
    pub fn labels(&self) -> Result<BTreeMap<String, String>, StoreError> {
        self.parse("labels", &self.labels_json)
    }

    /// `metadata.annotations`.
    pub fn annotations(&self) -> Result<BTreeMap<String, String>, StoreError> {
        self.parse("annotations", &self.annotations_json)
    }

    /// The spec as it was applied.
    pub fn spec(&self) -> Result<Value, StoreError> {
        self.parse("spec", &self.spec_json)
    }

    /// The canonical text of the spec: equal texts, equal specs.
    pub(super) fn spec_json(&self) -> &str {
        &self.spec_json
    }

    /// The status as the gateway wrote it.
    pub fn status(&self) -> Result<Value, StoreError> {
        self.parse("status", &self.status_json)
    }

    /// As the core knows a DeviceProcess.
    pub(super) fn process(&self) -> Result<Versioned<ProcessObject>, StoreError> {
        let spec_value = self.spec()?;
        let spec: ProcessSpec = self.parse("spec", &self.spec_json)?;
        let object = ProcessObject {
            process: self.process_ref()?,
            wants: desired_phase(&spec),
            device: spec.device_ref.name,
            generation: self.generation,
            spec: CanonicalSpec::new(&spec_value).map_err(|error| self.damaged("spec", &error))?,
            status: self.parse("status", &self.status_json)?,
        };
        Ok(self.versioned(object))
    }

    /// As the core knows a Device.
    pub(super) fn device(&self) -> Result<Versioned<DeviceObject>, StoreError> {
        let spec: DeviceSpec = self.parse("spec", &self.spec_json)?;
        let object = DeviceObject {
            device: self.device_name()?,
            blocked: spec.blocked,
            stale_after_ms: spec
                .stale_after_ms()
                .map_err(|error| self.damaged("spec.staleAfter", &error))?,
            status: self.parse("status", &self.status_json)?,
        };
        Ok(self.versioned(object))
    }

    /// `namespace/name`.
    pub(super) fn process_ref(&self) -> Result<ProcessRef, StoreError> {
        ProcessRef::new(&self.key.namespace, &self.key.name).map_err(|error| self.damaged("name", &error))
    }

    /// A Device's name.
    pub(super) fn device_name(&self) -> Result<DeviceName, StoreError> {
        self.key
            .name
            .parse()
            .map_err(|error| self.damaged("name", &error))
    }

    fn versioned<T>(&self, object: T) -> Versioned<T> {
        Versioned {
            version: ResourceVersion(self.resource_version.to_string()),
            object,
        }
    }

    fn parse<T: DeserializeOwned>(&self, field: &str, json: &str) -> Result<T, StoreError> {
        serde_json::from_str(json).map_err(|error| self.damaged(field, &error))
    }

    fn damaged(&self, field: &str, error: &dyn std::error::Error) -> StoreError {
        StoreError::Damaged {
            object: format!("{} {}/{}", self.key.kind, self.key.namespace, self.key.name),
            detail: format!("{field}: {error}"),
        }
    }
}
