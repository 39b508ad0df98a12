//! The gateway at work: runs the core's machines against a store, keeps the desired index, and watches over liveness.

use std::sync::Arc;

use apollo_gateway_core::policy::Policy;
use apollo_wire::UnixMillis;
use tokio::sync::Semaphore;

use crate::{events::SecurityLog, lifecycle::Lifecycle, metrics::Metrics, store::Store};

mod drive;
mod follow;
pub mod index;
mod liveness;
mod report;
#[cfg(test)]
mod scripted;
pub mod slots;

pub use index::Index;
pub use report::{ReportAnswer, Unsettled};

/// Everything behind the two routes of the device API.
pub struct Service<S> {
    store: S,
    policy: Policy,
    metrics: Arc<Metrics>,
    security: SecurityLog,
    lifecycle: Lifecycle,
    clock: fn() -> UnixMillis,
    exchanges: Semaphore,
    devices: slots::DeviceSlots,
    /// Desired state by device.
    pub index: Index,
}

impl<S: Store> Service<S> {
    /// A service on a store. [`Self::follow`] must run for the index to fill.
    pub fn new(
        store: S,
        policy: Policy,
        metrics: Arc<Metrics>,
        lifecycle: Lifecycle,
        clock: fn() -> UnixMillis,
    ) -> Self {
        Self {
            store,
            policy,
            metrics,
            security: SecurityLog::default(),
            lifecycle,
            clock,
            exchanges: Semaphore::new(slots::EXCHANGES),
            devices: slots::DeviceSlots::default(),
            index: Index::default(),
        }
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Serving or draining.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Room for one more report of this device, held while it is received and settled; `None` if it has too many under
    /// way already.
    pub fn device_slot(&self, device: &apollo_wire::DeviceName) -> Option<slots::DeviceSlot<'_>> {
        self.devices.take(device)
    }
}
