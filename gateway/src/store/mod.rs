//! Where objects and history live. [`Store`] is all that the rest of the gateway knows of a store.

pub mod chosen;
pub mod embedded;
pub mod history;
pub mod kube;
mod observation;
pub mod postgres;

use std::future::Future;

use apollo_gateway_core::{
    object::{DeviceObject, ProcessObject, Versioned},
    store::{StoreReply, StoreRequest},
};
use apollo_wire::{DeviceName, ProcessRef};
use tokio::sync::mpsc;

pub use observation::{ObservationFilter, ObservationRecord};

/// Carries out the core's requests and tells of changes.
pub trait Store: Send + Sync + 'static {
    /// Carries out one request. A store that cannot answers [`StoreReply::Unavailable`]; it never panics or blocks the
    /// runtime.
    fn execute(&self, request: StoreRequest) -> impl Future<Output = StoreReply> + Send;

    /// Starts telling of every object: first all that exist, then [`Change::Synced`], then each change, also those made
    /// by other processes. Ends with the store, or when it can no longer tell of everything: then a new one has to be started.
    /// The channel is bounded: a slow reader slows the watch, not the store.
    fn watch(&self) -> mpsc::Receiver<Change>;
}

/// One change of an object.
#[derive(Debug, Clone)]
pub enum Change {
    /// A DeviceProcess was created or changed, its status included.
    Process(Box<Versioned<ProcessObject>>),
    /// A DeviceProcess is gone.
    ProcessDeleted(ProcessRef),
    /// A Device was created or changed, its status included.
    Device(Box<Versioned<DeviceObject>>),
    /// A Device is gone.
    DeviceDeleted(DeviceName),
    /// Everything that existed when the watch began has been told.
    Synced,
}
