//! What the supervisor is told and what it asks for.

use std::sync::Arc;

use apollo_wire::{ProcessRef, ProcessSpec, SpecHash};

use super::{DesiredItem, Observed};

/// One run of one process. Never reused while the agent lives, so a late result of an old run is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// The exit code as shells report it: 128 + N for an end by signal N.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => signal.saturating_add(128),
        }
    }

    /// Whether the run did what it was meant to: exit code 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A desired state arrived: everything that should run here. What is not in it is to go.
    Desired(Vec<DesiredItem>),
    /// A run has started.
    Spawned {
        /// Its process.
        process: ProcessRef,
        /// The run that [`Effect::Spawn`] named.
        run: RunId,
        /// Its process id, also the id of its process group.
        pid: u32,
    },
    /// A run could not be started.
    SpawnFailed {
        /// Its process.
        process: ProcessRef,
        /// The run that [`Effect::Spawn`] named.
        run: RunId,
        /// Why, for people.
        error: String,
        /// True if another try cannot end differently, whatever the restart policy says.
        permanent: bool,
    },
    /// A run has ended, and nothing of its process group is left.
    Exited {
        /// Its process.
        process: ProcessRef,
        /// The run that ended.
        run: RunId,
        /// How.
        exit: Exit,
        /// The last line it wrote, if any: kept as the message of a failure.
        last_output: Option<String>,
    },
    /// The moment [`super::Supervisor::poll_timeout`] asked for has come.
    TimerFired,
    /// The agent is being stopped: stop every run and start none.
    Shutdown,
}

/// Which signal a run's process group is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM: please end.
    Term,
    /// SIGKILL: the grace is over.
    Kill,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Start a run; answer with [`Event::Spawned`] or [`Event::SpawnFailed`].
    Spawn {
        /// The process to run.
        process: ProcessRef,
        /// Names the run in every later event.
        run: RunId,
        /// Names the spec.
        spec_hash: SpecHash,
        /// What to run.
        spec: Arc<ProcessSpec>,
    },
    /// Send a signal to a run's process group; its end comes as [`Event::Exited`].
    Signal {
        /// The process.
        process: ProcessRef,
        /// Its run.
        run: RunId,
        /// Which signal.
        signal: StopSignal,
    },
    /// Record an observation. None may be lost or left out.
    Observe(Observed),
    /// A process is forgotten: nothing of it is needed any more, such as its log files.
    Forget(ProcessRef),
    /// The document named more processes than [`super::Limits::processes`]; this many were left out.
    LeftOut(usize),
    /// After [`Event::Shutdown`]: no run is alive. Comes once, as the last effect.
    AllStopped,
}
