//! The gateway's store: objects changed by compare-and-swap, history as a set.
//!
//! [`Store::execute`] carries out one `StoreRequest` as an atomic step. Cached reads are answered from the store itself, as
//! the embedded store does, or from a copy of [`Objects`] taken earlier, as behind a watch that lags
//! ([`Store::execute_with_cache`]).

mod changes;
mod history;
mod objects;

use apollo_gateway_core::store::{Freshness, StoreReply, StoreRequest, WriteOutcome};

pub use changes::Change;
pub use history::{Append, History, HistoryEntry};
pub use objects::{Applied, Objects, ProcessManifest};

/// A store. See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Store {
    /// Devices and DeviceProcesses.
    pub objects: Objects,
    /// Observations and gaps.
    pub history: History,
}

impl Store {
    /// Carries out one request; cached reads see what is there now.
    pub fn execute(&mut self, request: StoreRequest) -> StoreReply {
        match request {
            StoreRequest::ReadDevice { device, .. } => {
                StoreReply::Device(self.objects.device(&device).cloned())
            }
            StoreRequest::ReadProcesses { device, named, .. } => {
                StoreReply::Processes(self.objects.bound_or_named(&device, &named))
            }
            StoreRequest::ReadHighest { device, instance } => {
                StoreReply::Highest(self.history.highest(&device, instance))
            }
            StoreRequest::ReadSettled {
                device,
                instance,
                sequences,
            } => StoreReply::Settled(self.history.settled(&device, instance, sequences)),
            write => self.write(write),
        }
    }

    /// As [`execute`](Self::execute), but reads that may be answered from a cache are answered from `cache`.
    pub fn execute_with_cache(&mut self, request: StoreRequest, cache: &Objects) -> StoreReply {
        match request {
            StoreRequest::ReadDevice {
                device,
                freshness: Freshness::Cached,
            } => StoreReply::Device(cache.device(&device).cloned()),
            StoreRequest::ReadProcesses {
                device,
                named,
                freshness: Freshness::Cached,
            } => StoreReply::Processes(cache.bound_or_named(&device, &named)),
            request => self.execute(request),
        }
    }

    fn write(&mut self, request: StoreRequest) -> StoreReply {
        match request {
            StoreRequest::CreateDevice { device, status } => {
                StoreReply::Written(self.objects.create_device(device, *status))
            }
            StoreRequest::ReplaceDeviceStatus {
                device,
                expected,
                status,
            } => StoreReply::Written(self.objects.replace_device_status(&device, &expected, *status)),
            StoreRequest::ReplaceProcessStatuses { writes, .. } => {
                let outcomes: Vec<WriteOutcome> = writes
                    .into_iter()
                    .map(|write| self.objects.replace_process_status(write))
                    .collect();
                StoreReply::StatusesWritten(outcomes)
            }
            StoreRequest::AppendHistory {
                device,
                instance,
                epoch,
                received_at,
                rows,
                gaps,
                on_conflict,
            } => self.history.append(Append {
                device,
                instance,
                epoch,
                received_at,
                rows,
                gaps,
                on_conflict,
            }),
            StoreRequest::ReadDevice { .. }
            | StoreRequest::ReadProcesses { .. }
            | StoreRequest::ReadSettled { .. }
            | StoreRequest::ReadHighest { .. } => self.execute(request),
        }
    }
}
