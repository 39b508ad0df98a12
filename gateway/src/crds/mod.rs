//! The CustomResourceDefinitions: schema, printer columns and selectable fields of both kinds, made from Rust types.
//!
//! No field of a spec may be null: an API server would keep the null, and the spec's hash would differ from that of the
//! same spec without it.

mod device;
mod device_process;
mod schema;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use device::{Device, DeviceSpec};
pub use device_process::{DeviceProcess, DeviceProcessSpec};

/// Both definitions, with the name of the file under `deploy/crds/` that holds each.
pub fn definitions() -> [(&'static str, CustomResourceDefinition); 2] {
    [
        ("devices.yaml", schema::refined(&Device::crd())),
        ("deviceprocesses.yaml", schema::refined(&DeviceProcess::crd())),
    ]
}

/// A definition as YAML, as it stands in its file.
pub fn yaml(definition: &CustomResourceDefinition) -> Result<String, serde_saphyr::ser::Error> {
    let text = serde_saphyr::to_string(definition)?;
    Ok(if text.ends_with('\n') { text } else { text + "\n" })
}
