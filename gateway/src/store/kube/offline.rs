//! What the store makes of an object without an API server: for checks that feed it any bytes.

use apollo_gateway_core::object::{DeviceObject, ProcessObject, ResourceVersion};
use serde_json::{Map, Value};

use super::{
    object::{self, RawObject, Stored},
    patch,
};
use crate::manifest::Kind;

/// The status of an object that was read, and what would be written if it were to stay as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenBack {
    /// As the API server has it.
    pub stored: Map<String, Value>,
    /// The patch; `None` if nothing would be written.
    pub patch: Option<Value>,
}

/// Reads an object of a kind as the API server sends it, and writes its status back in thought.
///
/// # Errors
/// One line that names the field, if it cannot be used.
pub fn written_back(kind: Kind, json: &[u8]) -> Result<WrittenBack, String> {
    let raw: RawObject = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    match kind {
        Kind::Device => of::<DeviceObject>(&raw),
        Kind::DeviceProcess => of::<ProcessObject>(&raw),
    }
}

fn of<T: Stored>(raw: &RawObject) -> Result<WrittenBack, String> {
    let known = object::known::<T>(raw).map_err(|error| error.to_string())?;
    let own = object::own_form(known.read.object.status()).unwrap_or_default();
    let stored = known.raw_status.map_or_else(|| own.clone(), |raw| *raw);
    let expected = ResourceVersion(known.read.version.0);
    Ok(WrittenBack {
        patch: patch::status_patch(&stored, &own, &expected),
        stored,
    })
}
