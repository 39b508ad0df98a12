//! Performing what the engine asks for.

use std::path::Path;

use apollo_agent_core::{
    engine::{
        DesiredOutcome, Document, Effect, Event, Exchanged, Failure, FailureKind, StartExchange, Status,
        state::{ExchangeId, State},
    },
    time::Monotonic,
};
use apollo_wire::{UnixMillis, Verdicts};
use tokio::task::JoinError;

use super::{
    Driver, DriverError,
    exchange::{Exchange, Finished},
    result_label,
};
use crate::{
    client::{Client, IpBytes},
    clock,
    exit::chain,
    queue::{Queue, Settled, StorageError},
    run_lock,
};

impl Driver {
    /// Performs effects until the engine has none left.
    pub(super) async fn perform_effects(&mut self) -> Result<(), DriverError> {
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::StartExchange(start) => self.start_exchange(start),
                Effect::Settle { id, verdicts } => self.settle(id, verdicts).await?,
                Effect::RenewInstance { id, why } => self.renew(id, why).await?,
                Effect::StoreDesired(document) => self.store_desired(document).await?,
                Effect::RecordStatus(status) => self.record(status).await?,
                Effect::RecordPlan(due) => self.record_plan(Some(due)).await?,
                Effect::Stop => self.stopped = true,
            }
        }
        Ok(())
    }

    fn start_exchange(&mut self, start: StartExchange) {
        // Whatever was taken before is over: its lock is free for this one.
        self.taken = None;
        let mut client = self.client.take().unwrap_or_else(|| self.clients.client());
        let exchange = Exchange {
            start,
            queue: self.queue.clone(),
            data_dir: self.data_dir.clone(),
            etag: self.etag.clone(),
        };
        self.summary.exchanges += 1;
        self.in_flight = Some(tokio::spawn(async move {
            let finished = exchange.run(&mut client).await;
            (client, finished)
        }));
    }

    pub(super) fn on_exchange_over(&mut self, over: Result<(Client, Finished), JoinError>) {
        self.in_flight = None;
        match over {
            Ok((client, Finished { exchanged, taken })) => {
                self.client = Some(client);
                self.taken = taken;
                self.tell(Event::Exchanged(exchanged));
            }
            Err(panicked) => {
                tracing::error!(%panicked, "an exchange ended abnormally; going on with a new client");
                let State::Exchanging { id } = self.engine.state() else {
                    return;
                };
                let failure = Failure::new(FailureKind::Interrupted, "the exchange ended abnormally");
                let desired = DesiredOutcome::NotAsked;
                self.tell(Event::Exchanged(Exchanged {
                    id,
                    batch: None,
                    report: Err(failure),
                    desired,
                }));
            }
        }
    }

    async fn settle(&mut self, id: ExchangeId, verdicts: Verdicts) -> Result<(), DriverError> {
        let Some(taken) = self.taken.take() else {
            self.tell(Event::SettleFailed {
                id,
                message: "there is nothing to settle".to_owned(),
            });
            return Ok(());
        };
        let named = taken.named_in(&verdicts);
        let unchanged = Settled {
            pending: self.engine.pending(),
            ..Settled::default()
        };
        let (settled, depth) = self
            .queue
            .call(move |queue| {
                // A report without rows and gaps, a mere heartbeat, costs no write.
                let settled = if taken.range().is_some() || !taken.gaps.is_empty() {
                    queue.settle(taken.instance, &taken.gaps, &verdicts)
                } else {
                    Ok(unchanged)
                };
                (settled, queue.depth())
            })
            .await?;
        match settled {
            Ok(settled) => {
                let depth = self.depth_or(depth, settled.pending);
                self.summary.acked += settled.acked;
                self.summary.dead += settled.dead;
                if settled.dead > 0 {
                    tracing::warn!(
                        rows = settled.dead,
                        "the gateway refused rows: see `apollo-agent queue dead`"
                    );
                }
                // Not the rows deleted: those that left the queue meanwhile were settled as well.
                self.tell(Event::Settled {
                    id,
                    settled: named,
                    pending: depth.pending,
                });
                self.note_depth(depth);
            }
            Err(error) => self.tell(Event::SettleFailed {
                id,
                message: chain(&error),
            }),
        }
        Ok(())
    }

    async fn renew(&mut self, id: ExchangeId, why: String) -> Result<(), DriverError> {
        tracing::warn!(why, "the queue is an old copy of itself: starting a new instance");
        let (renewed, depth) = self
            .queue
            .call(move |queue| (queue.renew_instance(&why), queue.depth()))
            .await?;
        self.taken = None;
        match renewed {
            Ok(instance) => {
                tracing::warn!(%instance, "new instance");
                self.dropped = 0;
                let pending = self.depth_or(depth, self.engine.pending()).pending;
                self.tell(Event::Renewed { id, pending });
            }
            Err(error) => self.tell(Event::RenewFailed {
                id,
                message: chain(&error),
            }),
        }
        Ok(())
    }

    /// On disk first, then in force: a reboot in between must not bring the old document back to life. If the disk
    /// refuses, the ETag stays as it was, so the next poll brings the document again.
    async fn store_desired(&mut self, document: Document) -> Result<(), DriverError> {
        let Document { etag, desired } = document;
        let (stored_etag, stored) = (etag.clone().unwrap_or_default(), desired.clone());
        let result = self
            .queue
            .call(move |queue| queue.store_desired(&stored_etag, &stored, clock::now()))
            .await?;
        match result {
            Ok(()) => {
                tracing::info!(processes = desired.processes.len(), "new desired state");
                self.etag = etag;
                if let Some(supervisor) = &self.supervisor {
                    supervisor.apply(desired);
                }
            }
            Err(error) => tracing::error!(error = chain(&error), "the desired state cannot be stored"),
        }
        Ok(())
    }

    async fn record(&mut self, status: Status) -> Result<(), DriverError> {
        self.metrics.sync(result_label(status.failure.as_ref()));
        self.summary.failure = status.failure.as_ref().map(|failure| failure.kind);
        self.summary.last_error = status.last_error().map(str::to_owned);
        match (&status.failure, &status.warning) {
            (Some(failure), _) => tracing::warn!(error = failure.message, "the exchange failed"),
            (None, Some(warning)) => tracing::warn!(warning, "the report was taken, the poll failed"),
            (None, None) => tracing::debug!(pending = self.engine.pending(), "the exchange succeeded"),
        }
        let now = clock::now();
        let next = status.next_attempt.map(|due| self.wall_time(due));
        // The rows of an exchange that failed, for the column `attempts`.
        let failed_range = match &status.failure {
            Some(_) => self.taken.take().and_then(|taken| taken.range()),
            None => None,
        };
        let (once, data_dir) = (self.once, self.data_dir.clone());
        let recorded = self
            .queue
            .call(move |queue| {
                let next = if once {
                    plan_of_others(queue, &data_dir, now)?
                } else {
                    next
                };
                if status.failure.is_none() {
                    queue.record_success(now, next)?;
                }
                if let Some(error) = status.last_error() {
                    queue.record_failure(now, error, next)?;
                }
                failed_range.map_or(Ok(()), |range| queue.record_attempt_failed(range))
            })
            .await?;
        if let Err(error) = recorded {
            tracing::warn!(error = chain(&error), "the state of syncing cannot be stored");
        }
        self.count_traffic().await
    }

    /// When a moment of the engine's clock will be by the wall's.
    fn wall_time(&self, due: Monotonic) -> UnixMillis {
        let delay_ms = i64::try_from(due.since(self.now()).as_millis()).unwrap_or(i64::MAX);
        clock::now().plus(delay_ms)
    }

    /// Writes down when the next attempt is due. `None` at the start: what an earlier agent meant to do, this one does
    /// not, its first attempt is made at once.
    pub(super) async fn record_plan(&mut self, due: Option<Monotonic>) -> Result<(), DriverError> {
        let next = due.map(|due| self.wall_time(due));
        if let Err(error) = self.queue.call(move |queue| queue.set_next_attempt(next)).await? {
            tracing::warn!(error = chain(&error), "the state of syncing cannot be stored");
        }
        Ok(())
    }

    /// Adds what was sent and received since the last time.
    pub(super) async fn count_traffic(&mut self) -> Result<(), DriverError> {
        let total = self.clients.traffic().total();
        let since = IpBytes {
            sent: total.sent.saturating_sub(self.counted.sent),
            received: total.received.saturating_sub(self.counted.received),
        };
        self.counted = total;
        if since == IpBytes::default() {
            return Ok(());
        }
        self.summary.ip_bytes.sent += since.sent;
        self.summary.ip_bytes.received += since.received;
        self.metrics.ip_bytes(since);
        let now: UnixMillis = clock::now();
        let counted = self
            .queue
            .call(move |queue| queue.add_traffic(now, since.sent, since.received))
            .await?;
        if let Err(error) = counted {
            tracing::warn!(error = chain(&error), "the traffic cannot be counted");
        }
        Ok(())
    }
}

/// When the agent that runs beside this process means to try next; `None` if none runs. Where that cannot be told, what
/// is on disk stays.
fn plan_of_others(
    queue: &Queue,
    data_dir: &Path,
    now: UnixMillis,
) -> Result<Option<UnixMillis>, StorageError> {
    if run_lock::is_running(data_dir).unwrap_or(true) {
        Ok(queue.sync_status(now)?.next_attempt)
    } else {
        Ok(None)
    }
}
