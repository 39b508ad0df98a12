//! The embedded store: one SQLite file for objects and history, shared safely by several gateways and commands.
//!
//! Layout, promises (G-..) and limits: `docs/storage-gateway.md`. Writes go through one thread ([`writer`]) that commits
//! waiting steps together; reads through a few ([`readers`]); neither blocks the async runtime. A full queue is an
//! answer ([`StoreReply::Unavailable`]), never growth.

mod error;
mod health;
mod history;
mod objects;
mod observations;
mod open;
#[cfg(test)]
mod plans;
mod reader;
mod readers;
mod record;
mod schema;
mod tombstones;
mod watch;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use apollo_gateway_core::store::{StoreReply, StoreRequest};
use apollo_wire::UnixMillis;
use tokio::sync::mpsc;

pub use error::{OpenError, StoreError};
pub use objects::Applied;
pub use open::Missing;
pub use reader::{EmbeddedReader, ObjectFilter};
pub use record::ObjectRecord;

pub use super::observation::{ObservationFilter, ObservationRecord};

use super::{Change, Store};
use crate::manifest::{Manifest, ObjectKey};
use health::Health;
use history::Append;
use readers::Readers;
use writer::{Listeners, Writer};

/// A store in one SQLite file. Clones share it; the last one dropped closes the file.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// `None` only while dropping: the threads end when their queues do.
    threads: Option<(Writer, Readers)>,
    handles: Vec<JoinHandle<()>>,
    listeners: Listeners,
    read_health: Arc<Health>,
    write_health: Arc<Health>,
}

impl EmbeddedStore {
    /// Opens the store in `path`, creating the file if that is asked for. Fails within seconds, in one line, if the file
    /// cannot be used; never resets what is there.
    pub fn open(path: &Path, missing: Missing) -> Result<Self, OpenError> {
        let connection = open::open(path, missing)?;
        let listeners = Listeners::default();
        let read_health = Arc::new(Health::of("reads"));
        let write_health = Arc::new(Health::of("writes"));
        let (writer, handle) = Writer::start(
            connection,
            path,
            Arc::clone(&write_health),
            Arc::clone(&listeners),
        )?;
        let (readers, mut handles) = Readers::start(path, Arc::clone(&read_health))?;
        handles.push(handle);
        let inner = Inner {
            path: path.to_owned(),
            threads: Some((writer, readers)),
            handles,
            listeners,
            read_health,
            write_health,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Whether the latest reads and writes worked: for `/readyz`.
    pub fn is_working(&self) -> bool {
        !self.inner.read_health.is_failing() && !self.inner.write_health.is_failing()
    }

    /// Applies all of the manifests in one transaction, or none: what became of each, in order.
    pub async fn apply(&self, manifests: Vec<Manifest>) -> Result<Vec<Applied>, StoreError> {
        let now = now();
        self.writer()?
            .run(move |connection| {
                manifests
                    .iter()
                    .map(|manifest| objects::apply(connection, manifest, now))
                    .collect()
            })
            .await
    }

    /// Deletes one object; false if there is none. Its history stays.
    pub async fn delete(&self, key: ObjectKey) -> Result<bool, StoreError> {
        let now = now();
        self.writer()?
            .run(move |connection| {
                tombstones::remove_old(connection, now)?;
                objects::delete(connection, &key, now)
            })
            .await
    }

    async fn carry_out(&self, request: StoreRequest) -> Result<StoreReply, StoreError> {
        match request {
            StoreRequest::ReadDevice { device, .. } => {
                let key = objects::device_key(&device);
                let record = self.readers()?.run(move |c| objects::read(c, &key)).await?;
                Ok(StoreReply::Device(
                    record.map(|record| record.device()).transpose()?,
                ))
            }
            StoreRequest::ReadProcesses { device, named, .. } => self
                .readers()?
                .run(move |connection| {
                    let records = objects::bound_to_or_named(connection, &device, &named)?;
                    records
                        .iter()
                        .map(ObjectRecord::process)
                        .collect::<Result<_, _>>()
                })
                .await
                .map(StoreReply::Processes),
            StoreRequest::ReadHighest { device, instance } => self
                .readers()?
                .run(move |connection| history::highest(connection, &device, instance))
                .await
                .map(StoreReply::Highest),
            StoreRequest::ReadSettled {
                device,
                instance,
                sequences,
            } => self
                .readers()?
                .run(move |connection| history::settled(connection, &device, instance, &sequences))
                .await
                .map(StoreReply::Settled),
            write => self.carry_out_write(write).await,
        }
    }

    async fn carry_out_write(&self, request: StoreRequest) -> Result<StoreReply, StoreError> {
        let now = now();
        self.writer()?
            .run(move |connection| write(connection, request, now))
            .await
    }

    fn writer(&self) -> Result<&Writer, StoreError> {
        self.inner
            .threads
            .as_ref()
            .map(|(writer, _)| writer)
            .ok_or(StoreError::Closed)
    }

    fn readers(&self) -> Result<&Readers, StoreError> {
        self.inner
            .threads
            .as_ref()
            .map(|(_, readers)| readers)
            .ok_or(StoreError::Closed)
    }
}

/// One writing step inside the writer's transaction.
fn write(
    connection: &rusqlite::Connection,
    request: StoreRequest,
    now: UnixMillis,
) -> Result<StoreReply, StoreError> {
    match request {
        StoreRequest::CreateDevice { device, status } => {
            objects::create_device(connection, &device, &status, now).map(StoreReply::Written)
        }
        StoreRequest::ReplaceDeviceStatus {
            device,
            expected,
            status,
        } => objects::replace_status(connection, &objects::device_key(&device), &expected, &*status)
            .map(StoreReply::Written),
        StoreRequest::ReplaceProcessStatuses { writes, .. } => writes
            .iter()
            .map(|write| {
                let key = objects::process_key(&write.process);
                objects::replace_status(connection, &key, &write.expected, &write.status)
            })
            .collect::<Result<_, _>>()
            .map(StoreReply::StatusesWritten),
        StoreRequest::AppendHistory {
            device,
            instance,
            epoch,
            received_at,
            rows,
            gaps,
            on_conflict,
        } => {
            let append = Append {
                device,
                instance,
                epoch,
                received_at,
                rows,
                gaps,
                on_conflict,
            };
            let (new, highest) = append.run(connection)?;
            Ok(StoreReply::HistoryAppended { new, highest })
        }
        StoreRequest::ReadDevice { .. }
        | StoreRequest::ReadProcesses { .. }
        | StoreRequest::ReadSettled { .. }
        | StoreRequest::ReadHighest { .. } => Err(StoreError::Closed),
    }
}

impl Store for EmbeddedStore {
    async fn execute(&self, request: StoreRequest) -> StoreReply {
        match self.carry_out(request).await {
            Ok(reply) => reply,
            Err(StoreError::Diverged { highest }) => StoreReply::HistoryDiverged { highest },
            Err(error) => {
                if matches!(error, StoreError::Damaged { .. } | StoreError::OutOfRange(_)) {
                    tracing::error!(%error, "a step of the store was refused");
                }
                StoreReply::Unavailable { retry_after: None }
            }
        }
    }

    fn watch(&self) -> mpsc::Receiver<Change> {
        watch::start(&self.inner.path, &self.inner.listeners)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.threads = None;
        if let Ok(mut listeners) = self.listeners.lock() {
            listeners.clear();
        }
        for handle in self.handles.drain(..) {
            let _panicked = handle.join();
        }
    }
}

fn now() -> UnixMillis {
    UnixMillis::saturating(jiff::Timestamp::now().as_millisecond())
}
