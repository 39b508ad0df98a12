//! The Kubernetes store: objects on an API server, shared with every other gateway and with people's kubectl; history
//! beside it.
//!
//! ```text
//!  API server ── watches ──> cache ──> changes: desired index, liveness
//!      ^  ^                  ^   │ first reads of a report
//!      │  └─ reads after a conflict ─┘
//!      └──── PATCH status ── write queue (core) <── status writes
//! ```
//! A report of a healthy device costs no request at all; one that changes something costs one PATCH for each object that
//! changes, with the resourceVersion it was computed from (R-05). Promises (K-..), limits and permissions:
//! `docs/kubernetes.md`.

mod announce;
mod api;
mod browse;
mod cache;
mod connect;
mod create;
mod failure;
mod gate;
mod health;
mod hearing;
mod object;
mod offline;
mod patch;
mod preflight;
mod watch;
mod writer;

use std::{sync::Arc, time::Instant};

use apollo_gateway_core::{
    store::{Freshness, StatusWrite, StoreReply, StoreRequest, WriteOutcome},
    writes::{Unavailable, Write},
};
use apollo_wire::{DeviceName, ProcessRef};
use tokio::sync::mpsc;

pub use browse::BrowseError;
pub use connect::ConnectError;
pub use offline::{WrittenBack, written_back};
pub use preflight::PreflightError;

use super::{Change, Store, history::History};
use crate::{config::KubeChoice, metrics::Metrics};
use announce::Announcer;
use api::Requests;
use cache::Cache;
use failure::Failure;
use health::Health;
use hearing::{Heard, HearingLayer};
use writer::Writer;

/// A store on an API server. Clones share it.
#[derive(Clone)]
pub struct KubeStore {
    shared: Arc<Shared>,
    writer: Writer,
    history: History,
}

/// What the tasks of a store share.
struct Shared {
    requests: Requests,
    cache: Arc<Cache>,
    heard: Arc<Heard>,
    health: Arc<Health>,
    announcer: Announcer,
    metrics: Arc<Metrics>,
}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration leads into no cluster.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The cluster does not answer, or refuses what the gateway needs.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
}

/// A store that has been told nothing of history yet.
pub struct Objects {
    shared: Arc<Shared>,
}

impl Objects {
    /// Connects, and tries whether everything that will be needed is there and allowed. Fails within 5 s.
    ///
    /// # Errors
    /// In one line that says what is missing and what to apply.
    pub async fn open(choice: &KubeChoice, metrics: Arc<Metrics>) -> Result<Self, OpenError> {
        let config = connect::config(choice).await?;
        let server = config.cluster_url.to_string();
        let (heard, health) = (Arc::new(Heard::default()), Arc::new(Health::default()));
        let layer = HearingLayer {
            heard: heard.clone(),
            health: health.clone(),
            metrics: metrics.clone(),
        };
        let client = connect::client(config, &layer)?;
        let cache = Arc::new(Cache::default());
        let announcer = Announcer::start(client.clone());
        let requests = Requests::new(
            client,
            choice.namespace.clone(),
            cache.clone(),
            health.clone(),
            announcer.clone(),
        );
        preflight::check(&requests, &server).await?;
        let shared = Arc::new(Shared {
            requests,
            cache,
            heard,
            health,
            announcer,
            metrics,
        });
        Ok(Self { shared })
    }

    /// With history beside it, the store is whole.
    #[must_use]
    pub fn with_history(self, history: History) -> KubeStore {
        KubeStore {
            writer: Writer::start(self.shared.clone()),
            shared: self.shared,
            history,
        }
    }
}

impl KubeStore {
    /// Why requests fail lately, if they do: for `/readyz`.
    pub fn problem(&self) -> Option<String> {
        let now = Instant::now();
        self.shared.health.problem(now).or_else(|| self.history.failing())
    }

    /// Removes history that is too old, for as long as it is polled.
    pub async fn upkeep(self) {
        if let History::Postgres(history) = self.history {
            history.retain().await;
        }
    }

    async fn read_device(&self, device: &DeviceName, freshness: Freshness) -> Result<StoreReply, Failure> {
        let cache = &self.shared.cache;
        if freshness == Freshness::Cached && cache.is_complete() {
            return Ok(StoreReply::Device(cache.device(device).map(|known| known.read)));
        }
        let known = self.shared.requests.read_device(device).await?;
        Ok(StoreReply::Device(known.map(|known| known.read)))
    }

    async fn read_processes(
        &self,
        device: &DeviceName,
        named: &[ProcessRef],
        freshness: Freshness,
    ) -> Result<StoreReply, Failure> {
        let cache = &self.shared.cache;
        let known = if freshness == Freshness::Cached && cache.is_complete() {
            cache.bound_or_named(device, named)
        } else {
            self.shared.requests.read_processes(device, named).await?
        };
        let read = known.into_iter().map(|known| known.read);
        Ok(StoreReply::Processes(read.collect()))
    }

    /// A write of an object that the cache does not have is none of a version that was read here lately: the object may be
    /// gone, or gone and back. Only the API server itself can say so.
    async fn write_processes(
        &self,
        device: &DeviceName,
        writes: Vec<StatusWrite>,
    ) -> Result<Vec<WriteOutcome>, Unavailable> {
        let unknown = writes
            .iter()
            .map(|write| &write.process)
            .filter(|process| self.shared.cache.process(process).is_none());
        let reads = unknown.map(|process| self.shared.requests.read_process(process));
        let read = futures_util::future::try_join_all(reads).await;
        read.map_err(|_| Unavailable { retry_after_ms: None })?;
        let writes = writes.into_iter().map(|write| Write::Process(Box::new(write)));
        self.writer.write(device, writes.collect()).await
    }

    async fn write_device(&self, device: &DeviceName, write: Write) -> Result<WriteOutcome, Unavailable> {
        let unavailable = Unavailable { retry_after_ms: None };
        if self.shared.cache.device(device).is_none() {
            let read = self.shared.requests.read_device(device).await;
            read.map_err(|_| unavailable)?;
        }
        let outcomes = self.writer.write(device, vec![write]).await?;
        // One write has one outcome.
        outcomes.into_iter().next().ok_or(unavailable)
    }
}

impl Store for KubeStore {
    async fn execute(&self, request: StoreRequest) -> StoreReply {
        match request {
            StoreRequest::ReadDevice { device, freshness } => self
                .read_device(&device, freshness)
                .await
                .unwrap_or_else(unavailable),
            StoreRequest::ReadProcesses {
                device,
                named,
                freshness,
            } => self
                .read_processes(&device, &named, freshness)
                .await
                .unwrap_or_else(unavailable),
            StoreRequest::CreateDevice { device, status } => self.create_device(device, status).await,
            StoreRequest::ReplaceDeviceStatus {
                device,
                expected,
                status,
            } => {
                let write = Write::Device {
                    device: device.clone(),
                    expected,
                    status,
                };
                let outcome = self.write_device(&device, write).await;
                outcome.map_or_else(paused, StoreReply::Written)
            }
            StoreRequest::ReplaceProcessStatuses { device, writes } => {
                let outcomes = self.write_processes(&device, writes).await;
                outcomes.map_or_else(paused, StoreReply::StatusesWritten)
            }
            history @ (StoreRequest::AppendHistory { .. }
            | StoreRequest::ReadSettled { .. }
            | StoreRequest::ReadHighest { .. }) => self.history.execute(history).await,
        }
    }

    fn watch(&self) -> mpsc::Receiver<Change> {
        watch::start(self.shared.clone())
    }
}

/// Whatever kept a read from its answer.
fn unavailable(failure: Failure) -> StoreReply {
    let retry_after = match failure {
        Failure::TooManyRequests { retry_after } | Failure::Unavailable { retry_after } => retry_after,
        _ => None,
    };
    StoreReply::Unavailable { retry_after }
}

fn paused(unavailable: Unavailable) -> StoreReply {
    StoreReply::Unavailable {
        retry_after: unavailable.retry_after_ms.map(std::time::Duration::from_millis),
    }
}
