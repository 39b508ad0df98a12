//! History in Postgres, for a fleet whose objects are in Kubernetes: one database for all replicas of the gateway, with
//! the semantics of the embedded store's history.
//!
//! Tables, promises (P-..) and limits: `docs/storage-postgres.md`. Appends of one instance come one after the other,
//! by a lock on the instance's row; those of different instances run side by side on a few connections.

mod append;
mod columns;
mod connections;
mod error;
mod gaps;
mod health;
mod migrate;
mod read;
mod retention;
mod url;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use apollo_gateway_core::store::{StoreReply, StoreRequest};
use apollo_wire::UnixMillis;
use deadpool_postgres::ClientWrapper;
use tokio::{sync::Semaphore, time};

pub use error::{HistoryError, OpenHistoryError, UrlError};

use super::observation::{ObservationFilter, ObservationRecord};
use append::Append;
use connections::{Connections, Lease};
use health::Health;
use url::Target;

/// Longest that opening may take: `serve` has to say within five seconds why it does not serve.
const OPEN_WITHIN: Duration = Duration::from_secs(4);
/// Longest that one step may take, its wait for a connection included: a device waits for it.
const STEP_WITHIN: Duration = Duration::from_secs(5);
/// Steps under way or waiting for a connection: each holds at most one report; more than a server settles in the time
/// that a step may take.
const STEPS_MAX: usize = 256;
/// Between two looks for what is too old: retention is told in days.
const RETENTION_EVERY: Duration = Duration::from_secs(60);
/// Between two batches: appends get most of the time.
const RETENTION_PAUSE: Duration = Duration::from_millis(100);

/// Where history is and how long it is kept.
#[derive(Clone)]
pub struct HistoryOptions {
    /// `postgres://...`; may hold a password.
    pub url: String,
    /// How long observations and gap records are kept after receipt; `None` for ever.
    pub retention: Option<Duration>,
}

impl fmt::Debug for HistoryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryOptions")
            .field("url", &"(not shown)")
            .field("retention", &self.retention)
            .finish()
    }
}

/// History in a Postgres database. Clones share its connections.
#[derive(Clone)]
pub struct PostgresHistory {
    inner: Arc<Inner>,
}

struct Inner {
    connections: Connections,
    places: Semaphore,
    retention: Option<Duration>,
    requests: Health,
    removals: Health,
}

impl PostgresHistory {
    /// Connects, and makes or migrates the schema. Fails within four seconds, in one line without the password.
    pub async fn open(options: &HistoryOptions) -> Result<Self, OpenHistoryError> {
        let target = url::target(&options.url)?;
        let opening = Box::pin(Self::open_at(&target, options.retention));
        match time::timeout(OPEN_WITHIN, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(OpenHistoryError::TooSlow {
                server: target.server,
            }),
        }
    }

    async fn open_at(target: &Target, retention: Option<Duration>) -> Result<Self, OpenHistoryError> {
        let unusable = |source| OpenHistoryError::Unusable {
            server: target.server.clone(),
            source,
        };
        let connections = Connections::new(target).map_err(unusable)?;
        let mut lease = connections.lease().await.map_err(unusable)?;
        migrate::migrate(lease.client().map_err(unusable)?, &target.server).await?;
        lease.give_back();
        Ok(Self {
            inner: Arc::new(Inner {
                connections,
                places: Semaphore::new(STEPS_MAX),
                retention,
                requests: Health::of("requests"),
                removals: Health::of("retention"),
            }),
        })
    }

    /// Carries out `AppendHistory`, `ReadSettled` or `ReadHighest`. Everything else, and everything that Postgres cannot
    /// do within five seconds, is [`StoreReply::Unavailable`]; it may be repeated.
    pub async fn execute(&self, request: StoreRequest) -> StoreReply {
        let done = self
            .step(|mut lease| async move {
                let done = carry_out(lease.client()?, request).await;
                lease.end(done)
            })
            .await;
        self.note(&done);
        match done {
            Ok(reply) => reply,
            Err(HistoryError::Diverged { highest }) => StoreReply::HistoryDiverged { highest },
            Err(_) => StoreReply::Unavailable { retry_after: None },
        }
    }

    /// The first `limit` observations that pass the filter (10,000 at most), sorted by device, epoch and sequence: oldest
    /// first.
    pub async fn observations(
        &self,
        filter: &ObservationFilter,
        limit: usize,
    ) -> Result<Vec<ObservationRecord>, HistoryError> {
        let done = self
            .step(|mut lease| async move {
                let done = read::observations(lease.client()?, filter, limit).await;
                lease.end(done)
            })
            .await;
        self.note(&done);
        done
    }

    /// Why the last request failed, if it did: for `/readyz`.
    pub fn failing(&self) -> Option<String> {
        self.inner.requests.failing()
    }

    /// Removes what has been kept for longer than it has to be, for ever; ends at once if everything is kept. Every
    /// replica may run it: one at a time does the work.
    pub async fn retain(self) {
        let Some(retention) = self.inner.retention else {
            return;
        };
        let kept_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        loop {
            let now = jiff::Timestamp::now().as_millisecond();
            let cutoff = UnixMillis::saturating(now.saturating_sub(kept_ms));
            let removed = self.remove_received_before(cutoff).await;
            // A batch that is not full may have met lives that were locked; the next look is soon.
            let goes_on = removed.is_ok_and(|removed| removed > 0);
            time::sleep(if goes_on { RETENTION_PAUSE } else { RETENTION_EVERY }).await;
        }
    }

    /// One batch of [`retain`](Self::retain): removes at most 2,000 observations and as many gap records that were
    /// received before `cutoff`. Returns how many observations; 0 also if another replica is at it.
    pub async fn remove_received_before(&self, cutoff: UnixMillis) -> Result<u64, HistoryError> {
        let done = self
            .step(|mut lease| async move {
                let done = retention::remove(lease.client()?, cutoff).await;
                lease.end(done)
            })
            .await;
        match &done {
            Ok(_) => self.inner.removals.working(),
            Err(error) => self.inner.removals.fails(error),
        }
        done
    }

    /// One step on a connection, within the limits of number and time. Dropped in the middle, it closes its connection.
    async fn step<T, Working>(&self, work: impl FnOnce(Lease) -> Working) -> Result<T, HistoryError>
    where
        Working: Future<Output = Result<T, HistoryError>>,
    {
        let _place = self
            .inner
            .places
            .try_acquire()
            .map_err(|_| HistoryError::Overloaded)?;
        let working = Box::pin(async { work(self.inner.connections.lease().await?).await });
        match time::timeout(STEP_WITHIN, working).await {
            Ok(done) => done,
            Err(_) => Err(HistoryError::TooSlow),
        }
    }

    /// Whether history works. A copy that was found out is no failure, and neither is what only one row or caller meets.
    fn note<T>(&self, done: &Result<T, HistoryError>) {
        match done {
            Ok(_) | Err(HistoryError::Diverged { .. }) => self.inner.requests.working(),
            Err(
                error @ (HistoryError::Damaged(_) | HistoryError::OutOfRange(_) | HistoryError::NotHistory),
            ) => {
                tracing::error!(%error, "a step of history was refused");
            }
            Err(error) => self.inner.requests.fails(error),
        }
    }
}

async fn carry_out(client: &mut ClientWrapper, request: StoreRequest) -> Result<StoreReply, HistoryError> {
    match request {
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
            append.run(client).await
        }
        StoreRequest::ReadSettled {
            device,
            instance,
            sequences,
        } => read::settled(client, &device, instance, sequences)
            .await
            .map(StoreReply::Settled),
        StoreRequest::ReadHighest { device, instance } => read::highest(client, &device, instance)
            .await
            .map(StoreReply::Highest),
        StoreRequest::ReadDevice { .. }
        | StoreRequest::CreateDevice { .. }
        | StoreRequest::ReplaceDeviceStatus { .. }
        | StoreRequest::ReadProcesses { .. }
        | StoreRequest::ReplaceProcessStatuses { .. } => Err(HistoryError::NotHistory),
    }
}
