//! What the admin port shows: objects as the API server has them, history as it was stored.

use apollo_wire::DeviceName;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::{KubeStore, failure::Failure, object::RawObject};
use crate::{
    manifest::{API_VERSION, Kind},
    store::{ObservationFilter, ObservationRecord},
};

/// Nothing can be shown now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store does not answer now")]
pub struct BrowseError;

impl KubeStore {
    /// At most `limit` objects of a kind, as `kubectl get -o json` shows them; of one device if it is named.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn objects(
        &self,
        kind: Kind,
        device: Option<&DeviceName>,
        limit: usize,
    ) -> Result<Vec<Value>, BrowseError> {
        let field = match kind {
            Kind::Device => "metadata.name",
            Kind::DeviceProcess => "spec.deviceRef.name",
        };
        let params = match device {
            Some(device) => ListParams::default().fields(&format!("{field}={device}")),
            None => ListParams::default(),
        };
        let requests = &self.shared.requests;
        let listed = requests.list(requests.all(kind), kind, params, limit).await;
        let objects = listed.map_err(|_: Failure| BrowseError)?;
        Ok(objects.iter().map(|raw| shape(kind, raw)).collect())
    }

    /// At most `limit` observations, oldest first.
    ///
    /// # Errors
    /// If history does not answer.
    pub async fn observations(
        &self,
        filter: &ObservationFilter,
        limit: usize,
    ) -> Result<Vec<ObservationRecord>, BrowseError> {
        let observations = self.history.observations(filter, limit).await;
        observations.map_err(|_| BrowseError)
    }
}

/// An item of a list does not say its own kind.
fn shape(kind: Kind, raw: &RawObject) -> Value {
    let mut metadata = json!(raw.metadata);
    if let Some(fields) = metadata.as_object_mut() {
        // Who wrote which field, for server-side apply: longer than the object, and for machines.
        fields.remove("managedFields");
    }
    json!({
        "apiVersion": API_VERSION, "kind": kind.as_str(),
        "metadata": metadata,
        "spec": raw.spec, "status": raw.status,
    })
}
