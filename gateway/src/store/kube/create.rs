//! Creating a Device with its first status takes two requests: the API server keeps no status at creation.

use apollo_gateway_core::{
    object::{DeviceObject, DeviceStatus},
    store::{StoreReply, WriteOutcome},
    writes::Write,
};
use apollo_wire::DeviceName;

use super::{KubeStore, failure::Failure, paused, unavailable};

impl KubeStore {
    /// A gateway that ends between the two leaves a Device without a status: the next report gives it one, as it does
    /// for a Device that an operator made.
    pub(super) async fn create_device(&self, device: DeviceName, status: Box<DeviceStatus>) -> StoreReply {
        let created = match self.shared.requests.create_device(&device).await {
            Ok(raw) => raw,
            Err(Failure::Conflict) => return StoreReply::Written(WriteOutcome::Conflict),
            Err(failure) => return unavailable(failure),
        };
        // An empty object of ours can be read.
        let Some(known) = self.shared.requests.taken_in::<DeviceObject>(&created) else {
            return StoreReply::Unavailable { retry_after: None };
        };
        let write = Write::Device {
            device: device.clone(),
            expected: known.read.version,
            status,
        };
        let outcome = self.write_device(&device, write).await;
        outcome.map_or_else(paused, StoreReply::Written)
    }
}
