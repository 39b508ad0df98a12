//! The one owner of the agent's state: selects what happened, tells the engine, performs what the engine asks for.
//!
//! Everything decided is decided in `apollo_agent_core::engine`. Here is the order of things:
//! - an observation of the supervisor is on disk before anything else learns of it (R-01, [`intake`]);
//! - what is offered to a gateway is noted on disk before it is sent ([`exchange`]);
//! - a desired document is on disk before the supervisor gets it ([`effects`]).
//!
//! The queue lives on its own thread ([`queue_thread`]), the exchange in its own task; both are awaited here, so that
//! the runtime's one thread is always free for QUIC's timers.

mod effects;
mod exchange;
mod intake;
mod queue_thread;
mod stopping;
mod sync_lock;

use std::{path::PathBuf, time::Duration};

use apollo_agent_core::{
    engine::{self, Engine, Event, FailureKind, Limits, Start, state::State},
    time::Monotonic,
};
use apollo_wire::DeviceName;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use crate::{
    client::{Client, ClientFactory, IpBytes},
    exit::chain,
    metrics::Metrics,
    queue::{NewObservation, Queue, StorageError},
    supervisor::SupervisorHandle,
};
use exchange::{Finished, Taken};
use intake::Intake;
pub use queue_thread::{QueueThread, QueueThreadGone};
use stopping::Stopping;

/// How often the database is looked at for rows of other processes (`observe`). Looking reads shared memory, no disk;
/// a row waits for company much longer than this.
const ROWS_INTERVAL: Duration = Duration::from_secs(1);

/// What a driver works with.
pub struct Setup {
    /// The numbers of the engine.
    pub limits: Limits,
    /// The device's name.
    pub device: DeviceName,
    /// The queue.
    pub queue: Queue,
    /// Where the queue is.
    pub data_dir: PathBuf,
    /// Makes the client. Asked again if an exchange should ever panic, for the client is lost with it.
    pub clients: ClientFactory,
    /// Where things are counted for Prometheus.
    pub metrics: Metrics,
    /// Where jitter comes from.
    pub seed: u64,
}

/// The supervisor and what comes out of it.
pub struct Supervision {
    /// The running supervisor.
    pub handle: SupervisorHandle,
    /// Its observations.
    pub observations: mpsc::Receiver<NewObservation>,
}

/// Why a driver ended early. The queue is as it was after its last operation.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The queue's thread could not be started.
    #[error("cannot start the queue's thread")]
    Thread(#[source] std::io::Error),
    /// The queue's thread has ended.
    #[error(transparent)]
    Gone(#[from] QueueThreadGone),
    /// How full the queue is could not be read at the start.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The supervisor ended although nobody had asked it to. Everything was closed as at any other end.
    #[error("the supervisor ended by itself")]
    SupervisorEnded,
}

/// What a driver did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Rows acknowledged.
    pub acked: u64,
    /// Rows refused and moved to the dead letters.
    pub dead: u64,
    /// Rows that still wait.
    pub pending: u64,
    /// Exchanges made.
    pub exchanges: u64,
    /// IP bytes of it all.
    pub ip_bytes: IpBytes,
    /// The kind of the last exchange's failure; `None` if it succeeded.
    pub failure: Option<FailureKind>,
    /// What went wrong last, for people.
    pub last_error: Option<String>,
}

/// The driver. See the module's documentation.
pub struct Driver {
    engine: Engine,
    queue: QueueThread,
    data_dir: PathBuf,
    clients: ClientFactory,
    /// The client while no exchange has it.
    client: Option<Client>,
    in_flight: Option<JoinHandle<(Client, Finished)>>,
    /// What the verdicts being settled belong to.
    taken: Option<Taken>,
    /// ETag of the document the supervisor was given.
    etag: Option<String>,
    supervisor: Option<SupervisorHandle>,
    intake: Intake,
    data_version: i64,
    dropped: u64,
    origin: Instant,
    counted: IpBytes,
    metrics: Metrics,
    summary: Summary,
    stopped: bool,
    /// It makes no attempt of its own accord: what the engine plans is not what will happen.
    once: bool,
}

/// What the driver waits for.
enum Occurrence {
    StopAsked,
    Observations(Vec<NewObservation>),
    SupervisorEnded,
    SaveAgain,
    ExchangeOver(Box<Result<(Client, Finished), JoinError>>),
    TimerDue,
    LookForRows,
    TimeIsUp,
}

impl Driver {
    /// Takes over the queue and, if there is one, the supervisor, which gets the stored desired document at once: no
    /// link is needed to run what ran before.
    ///
    /// # Errors
    /// A queue that cannot be read.
    pub async fn new(setup: Setup, supervision: Option<Supervision>) -> Result<Self, DriverError> {
        let queue = QueueThread::start(setup.queue).map_err(DriverError::Thread)?;
        let read = |queue: &mut Queue| {
            Ok::<_, StorageError>((queue.depth()?, queue.desired(), queue.data_version()?))
        };
        let (depth, stored, data_version) = queue.call(read).await??;
        // Without one, the first poll names no ETag and brings the document again. Observations wait for nobody.
        let stored = stored.unwrap_or_else(|error| {
            tracing::error!(
                error = chain(&error),
                "the stored desired state is ignored until the gateway sends it again"
            );
            None
        });
        // A document of another device (the certificate was exchanged) is not run, and not asked about either.
        let stored = stored.filter(|stored| stored.document.device == setup.device);
        let (supervisor, intake) = match supervision {
            Some(Supervision { handle, observations }) => (Some(handle), Intake::new(observations)),
            None => (None, Intake::closed()),
        };
        let etag = stored
            .as_ref()
            .map(|stored| stored.etag.clone())
            .filter(|etag| !etag.is_empty());
        if let (Some(supervisor), Some(stored)) = (&supervisor, stored) {
            supervisor.apply(stored.document);
        }
        let start = Start {
            now: Monotonic::ZERO,
            device: setup.device,
            pending: depth.pending,
            jitter_seed: setup.seed,
        };
        Ok(Self {
            engine: Engine::new(setup.limits, start),
            queue,
            data_dir: setup.data_dir,
            client: Some(setup.clients.client()),
            in_flight: None,
            taken: None,
            etag,
            supervisor,
            intake,
            data_version,
            dropped: depth.dropped,
            origin: Instant::now(),
            counted: setup.clients.traffic().total(),
            clients: setup.clients,
            metrics: setup.metrics,
            summary: Summary {
                pending: depth.pending,
                ..Summary::default()
            },
            stopped: false,
            once: false,
        })
    }

    /// Goes on until the engine has nothing to do at once: everything is settled, or nothing moves.
    ///
    /// # Errors
    /// [`DriverError::Gone`].
    pub async fn run_once(mut self) -> Result<Summary, DriverError> {
        self.once = true;
        loop {
            self.perform_effects().await?;
            match self.in_flight.as_mut() {
                Some(exchange) => {
                    let over = exchange.await;
                    self.on_exchange_over(over);
                }
                None if matches!(self.engine.state(), State::Waiting { .. } | State::Stopped) => break,
                // Effects of effects: the engine moved on while they were performed.
                None => {}
            }
        }
        self.close().await
    }

    /// Goes on until `stop` is done; then stops the processes, tries one last exchange, and ends (see [`stopping`]).
    ///
    /// # Errors
    /// [`DriverError::Gone`], [`DriverError::SupervisorEnded`].
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<Summary, DriverError> {
        let mut stop = std::pin::pin!(stop);
        self.record_plan(None).await?;
        let mut rows = interval(ROWS_INTERVAL);
        rows.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopping = Stopping::default();
        while !self.stopped {
            self.perform_effects().await?;
            if self.stopped {
                break;
            }
            let due = self
                .engine
                .poll_timeout()
                .map(|due| self.origin + due.since(Monotonic::ZERO));
            let (saving, end_by) = (self.intake.retry_at(), stopping.end_by());
            let takes_in = self.intake.takes_in(stopping.is_asked());
            let occurrence = tokio::select! {
                biased;
                // Cancel-safe: the future is pinned outside and only polled here.
                () = &mut stop, if !stopping.is_asked() => Occurrence::StopAsked,
                // Cancel-safe: `recv_many` takes nothing unless it completes. First come observations, then the link:
                // what was seen must be on disk, an exchange can wait.
                received = self.intake.receive(), if takes_in => match received {
                    Some(observations) => Occurrence::Observations(observations),
                    None => Occurrence::SupervisorEnded,
                },
                // Cancel-safe: deadlines are made anew from values in each round.
                () = at(saving), if saving.is_some() => Occurrence::SaveAgain,
                // Cancel-safe: polled by reference, the task goes on by itself.
                over = join(&mut self.in_flight), if self.in_flight.is_some() => Occurrence::ExchangeOver(Box::new(over)),
                () = at(due), if due.is_some() => Occurrence::TimerDue,
                // Cancel-safe: a tick not taken stays due.
                _ = rows.tick() => Occurrence::LookForRows,
                () = at(end_by), if end_by.is_some() => Occurrence::TimeIsUp,
            };
            match occurrence {
                Occurrence::StopAsked => self.on_stop_asked(&mut stopping),
                Occurrence::Observations(observations) if saving.is_some() => self.intake.keep(observations),
                Occurrence::Observations(observations) => self.store(observations).await?,
                Occurrence::SaveAgain => {
                    let unsaved = self.intake.take_unsaved();
                    self.store(unsaved).await?;
                }
                Occurrence::SupervisorEnded => self.on_supervisor_ended(&mut stopping),
                Occurrence::ExchangeOver(over) => self.on_exchange_over(*over),
                Occurrence::TimerDue => self.tell(Event::TimerFired),
                Occurrence::LookForRows => self.look_for_rows().await?,
                Occurrence::TimeIsUp => {
                    tracing::warn!("ending takes too long; ending at once");
                    break;
                }
            }
        }
        let summary = self.close().await?;
        if stopping.supervisor_lost() {
            return Err(DriverError::SupervisorEnded);
        }
        Ok(summary)
    }

    fn tell(&mut self, event: Event) {
        self.engine.handle(event, self.now());
    }

    /// The engine's clock: time since the driver began, time asleep not counted.
    fn now(&self) -> Monotonic {
        Monotonic::ZERO.plus(self.origin.elapsed())
    }
}

/// Waits for a running exchange; for ever if there is none.
async fn join(
    exchange: &mut Option<JoinHandle<(Client, Finished)>>,
) -> Result<(Client, Finished), JoinError> {
    match exchange {
        Some(exchange) => exchange.await,
        None => std::future::pending().await,
    }
}

/// Waits until a moment; for ever without one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// What a failure is called in metrics.
fn result_label(failure: Option<&engine::Failure>) -> &'static str {
    match failure.map(|failure| failure.kind) {
        None => "ok",
        Some(FailureKind::Unreachable) => "unreachable",
        Some(FailureKind::Rejected) => "rejected",
        Some(FailureKind::Interrupted) => "interrupted",
        Some(FailureKind::Status(_)) => "refused",
        Some(FailureKind::TooLarge) => "too_large",
        Some(FailureKind::Malformed) => "malformed",
        Some(FailureKind::Storage) => "storage",
        Some(FailureKind::Busy) => "busy",
    }
}
