//! Runs the desired processes: the hands of `apollo_agent_core::supervise`, which decides.
//!
//! One task owns every child. It hands events to the [`Supervisor`](apollo_agent_core::supervise::Supervisor),
//! performs the effects in order, and sends each observation into a bounded channel; where that is full it waits, since
//! none may be lost. The rules are in `docs/supervision.md`.
//!
//! - [`spawn`]: from a spec to a child in a process group of its own.
//! - [`children`]: which children live, how they are signalled and how their end is noticed.
//! - [`output`]: what they write, into bounded files.
//! - [`left_overs`]: children of an agent that was killed, found and stopped before anything is started.
//! - [`run_records`]: what is kept on disk to find those.

mod children;
mod left_overs;
mod output;
mod process_table;
mod run_records;
mod spawn;
mod task;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use apollo_agent_core::supervise::Limits;
use apollo_wire::DesiredState;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinHandle,
};

pub use left_overs::LEFT_OVER_GRACE;
pub use output::{LAST_OUTPUT_BYTES, LOG_FILE_BYTES};
pub use run_records::{RunRecordError, RunRecords};

use crate::queue::NewObservation;
use run_records::Records;

/// How long SIGKILL may take. A process that is still there then hangs in the kernel, and must not hold the agent.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// What a supervisor needs to know of its surroundings.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The agent's data directory: logs are kept in `logs/` below it, and processes run in it by default.
    pub data_dir: PathBuf,
    /// The numbers decisions depend on.
    pub limits: Limits,
    /// Seed of the backoff's jitter.
    pub seed: u64,
    /// This boot's id, see [`crate::clock::boot_id`]: a process id of another boot means nothing.
    pub boot_id: String,
    /// How long processes left over from a killed agent have between SIGTERM and SIGKILL.
    pub left_over_grace: Duration,
    /// How long SIGKILL may take.
    pub kill_wait: Duration,
}

impl Setup {
    /// The usual limits, for a data directory.
    #[must_use]
    pub fn new(data_dir: PathBuf, seed: u64) -> Self {
        Self {
            data_dir,
            limits: Limits::default(),
            seed,
            boot_id: crate::clock::boot_id(),
            left_over_grace: LEFT_OVER_GRACE,
            kill_wait: KILL_WAIT,
        }
    }
}

/// Why a supervisor could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory or the log directory in it cannot be used.
    #[error("cannot use the directory {path}")]
    Directory {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The end of children cannot be noticed.
    #[error("cannot listen for SIGCHLD")]
    Signal(#[source] io::Error),
}

/// What the supervisor's task is to do. Only the newest counts, so a value that is replaced is enough: nothing queues.
#[derive(Debug, Clone, Default)]
struct Orders {
    desired: Option<Arc<DesiredState>>,
    shutdown: bool,
}

/// A running supervisor. Dropping it is an order to shut down.
#[derive(Debug)]
pub struct SupervisorHandle {
    orders: watch::Sender<Orders>,
    task: JoinHandle<()>,
    longest_shutdown: Duration,
}

impl SupervisorHandle {
    /// Starts the supervisor's task in the current tokio runtime. It first stops what an earlier life of the agent
    /// left over, then waits for a desired state.
    ///
    /// Observations come out of `observations`; the channel closes when the supervisor has ended. Whoever receives
    /// must go on receiving until then, also while it waits for [`SupervisorHandle::shutdown`].
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        setup: Setup,
        records: Box<dyn RunRecords>,
        observations: mpsc::Sender<NewObservation>,
    ) -> Result<Self, StartError> {
        let logs = setup.data_dir.join("logs");
        std::fs::create_dir_all(&logs).map_err(|source| StartError::Directory {
            path: logs.clone(),
            source,
        })?;
        // Children run elsewhere and left-overs are recognised by this path, so it must not depend on where we are.
        let data_dir = setup
            .data_dir
            .canonicalize()
            .map_err(|source| StartError::Directory {
                path: setup.data_dir.clone(),
                source,
            })?;
        let child_ended = signal(SignalKind::child()).map_err(StartError::Signal)?;
        let (orders, received) = watch::channel(Orders::default());
        let setup = Setup { data_dir, ..setup };
        let longest_shutdown = setup.left_over_grace + setup.limits.shutdown_grace_max + 2 * setup.kill_wait;
        let task = tokio::spawn(task::supervise(
            setup,
            Records::new(records),
            observations,
            received,
            child_ended,
        ));
        Ok(Self {
            orders,
            task,
            longest_shutdown,
        })
    }

    /// Makes `desired` what runs here. Never waits; a later call replaces an earlier one that was not yet looked at.
    pub fn apply(&self, desired: DesiredState) {
        self.orders
            .send_modify(|orders| orders.desired = Some(Arc::new(desired)));
    }

    /// Asks for every process to be stopped, without waiting.
    pub fn request_shutdown(&self) {
        self.orders.send_modify(|orders| orders.shutdown = true);
    }

    /// How long a shutdown takes at most, as long as the disk is there: the longest grace and a few seconds for the kernel,
    /// after the same for processes left over from an earlier agent, for they come first.
    #[must_use]
    pub fn longest_shutdown(&self) -> Duration {
        self.longest_shutdown
    }

    /// Stops every process and waits for that: at most the longest grace, capped by `Limits::shutdown_grace_max`, and a
    /// few seconds for the kernel. The agent stops its children when it is stopped itself, since nobody would watch
    /// them.
    pub async fn shutdown(self) {
        self.request_shutdown();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the supervisor's task did not end by itself");
        }
    }
}
