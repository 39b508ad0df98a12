//! What the gateway serves to a device: everything that should run there.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{DeviceName, ProcessRef, SpecHash};

/// The body of `GET /v1/desired`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DesiredState {
    /// The device it is for.
    pub device: DeviceName,
    /// Its processes, sorted by namespace and name.
    pub processes: Vec<DesiredProcess>,
}

/// One DeviceProcess as its device sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredProcess {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `metadata.generation`: counts changes of the spec.
    pub generation: i64,
    /// Hash of `spec`.
    pub spec_hash: SpecHash,
    /// The spec as JSON text (canonical when the gateway made it), kept as text so that a field this version does not
    /// know survives storage and hashing.
    pub spec: Box<RawValue>,
}

impl DesiredProcess {
    /// `namespace/name`, checked.
    pub fn process(&self) -> Result<ProcessRef, crate::NameError> {
        ProcessRef::new(&self.namespace, &self.name)
    }
}

impl DesiredProcess {
    /// Everything it says, comparable: `RawValue` itself compares with nothing.
    fn parts(&self) -> (&str, &str, i64, SpecHash, &str) {
        (
            &self.namespace,
            &self.name,
            self.generation,
            self.spec_hash,
            self.spec.get(),
        )
    }
}

impl PartialEq for DesiredProcess {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for DesiredProcess {}

impl Hash for DesiredProcess {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}
