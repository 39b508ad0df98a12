//! An object as a person wrote it, checked.

use std::collections::BTreeMap;

use apollo_wire::CanonicalSpec;

use super::Kind;

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for a kind without namespaces.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for ObjectKey {
    /// `deviceprocess.apollo.azure.com/collector`, as kubectl names what it applied.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}/{}", self.kind.singular(), super::GROUP, self.name)
    }
}

/// A checked object: what `apply` writes. `status` is not part of it, as with kubectl.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Which object.
    pub key: ObjectKey,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// The spec as written: no defaults added, so that its hash is the same in every store.
    pub spec: CanonicalSpec,
    /// `spec.deviceRef.name` of a DeviceProcess.
    pub device: Option<String>,
}
