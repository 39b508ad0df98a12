//! The states of one supervised process and the one table of moves between them.
//!
//! ```text
//!                Start                Spawned
//!   Pending -------------> Starting -----------> Running
//!    ^   ^                  |    |                |    |
//!    |   | Due   SpawnFailed|    | Halt     Exited|    | Halt
//!    |   |                  v    |                v    |
//!    |   +----- Backoff <---+----|----------------+    |
//!    |          Succeeded <------|----------------+    |
//!    |          Failed <----+----|----------------+    |
//!    |                           v                     |
//!    |                        Stopping <---------------+      AwaitSpawn -> Terminating -> Killing
//!    |                           |                                  Spawned        GraceOver
//!    |                           | Exited, SpawnFailed
//!    +-- Replace ----------------+
//!        Suspend, Remove, Shutdown --> Stopped
//!        Refuse ---------------------> Failed
//! ```
//! `Halt` in a state without a run goes straight to where its goal ends. `Starting` and `Stopping` are internal: people
//! see Pending, and the state before the stop, until the move is complete.

use std::time::Duration;

use apollo_wire::{ProcessState, SpecHash};

use super::RunId;
use crate::time::Monotonic;

/// What is known of a run from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Its identity.
    pub id: RunId,
    /// The spec it runs.
    pub spec_hash: SpecHash,
    /// What its spec allows between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// How many runs of the same spec came before it.
    pub restarts: u32,
}

/// The state of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// To be started as soon as nothing has to go first.
    Pending,
    /// Handed to the operating system.
    Starting(Run),
    /// Alive.
    Running {
        /// Its run.
        run: Run,
        /// Its process id.
        pid: u32,
        /// When it started.
        since: Monotonic,
    },
    /// On its way out.
    Stopping {
        /// The run to end.
        run: Run,
        /// How far the stop has come.
        phase: StopPhase,
        /// What comes after it.
        goal: StopGoal,
    },
    /// Waiting for the next run.
    Backoff {
        /// When that is.
        until: Monotonic,
    },
    /// Ended with code 0, for good.
    Succeeded,
    /// Ended otherwise, or cannot be run, for good.
    Failed,
    /// Not to run.
    Stopped,
}

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopPhase {
    /// The operating system has not answered the start yet; there is nothing to signal.
    AwaitSpawn {
        /// What it gets once it has started.
        grace: Duration,
    },
    /// SIGTERM was sent.
    Terminating {
        /// Its process id.
        pid: u32,
        /// When SIGKILL follows.
        kill_at: Monotonic,
    },
    /// SIGKILL was sent. Its end is up to the kernel now.
    Killing {
        /// Its process id.
        pid: u32,
    },
}

/// Why a run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopGoal {
    /// Another spec is to run.
    Replace,
    /// The spec says `suspend: true`.
    Suspend,
    /// The new spec cannot be run.
    Refuse,
    /// The process is no longer desired.
    Remove,
    /// The agent is being stopped.
    Shutdown,
}

impl StopGoal {
    /// Where a process is once nothing of it runs any more.
    fn rest(self) -> State {
        match self {
            Self::Replace => State::Pending,
            Self::Suspend | Self::Remove | Self::Shutdown => State::Stopped,
            Self::Refuse => State::Failed,
        }
    }
}

/// What follows an end that nobody asked for, as the restart policy has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Another run at this moment.
    Again(Monotonic),
    /// None, and that is fine.
    Succeeded,
    /// None, and that is a failure.
    Failed,
}

/// What makes a process change state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The run is handed to the operating system.
    Start(Run),
    /// The run is alive.
    Spawned {
        /// Its process id.
        pid: u32,
        /// Since when.
        now: Monotonic,
    },
    /// The run never was.
    SpawnFailed(Ending),
    /// The run is over.
    Exited(Ending),
    /// The backoff is over.
    Due,
    /// Whatever runs is to end.
    Halt {
        /// Why.
        goal: StopGoal,
        /// The time between SIGTERM and SIGKILL. A stop under way is only ever shortened.
        grace: Duration,
        /// When.
        now: Monotonic,
    },
    /// The time between SIGTERM and SIGKILL is over.
    GraceOver,
}

/// A move that is not in the table: a result of something that has been overtaken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{state:?} has no move for {input:?}")]
pub struct IllegalTransition {
    /// The state, unchanged.
    pub state: State,
    /// The input without effect.
    pub input: Input,
}

impl State {
    /// The run that may be alive in this state: there is at most one.
    #[must_use]
    pub fn run(&self) -> Option<Run> {
        match *self {
            Self::Starting(run) | Self::Running { run, .. } | Self::Stopping { run, .. } => Some(run),
            _ => None,
        }
    }

    /// Its process id, once the operating system has told it.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match *self {
            Self::Running { pid, .. }
            | Self::Stopping {
                phase: StopPhase::Terminating { pid, .. } | StopPhase::Killing { pid },
                ..
            } => Some(pid),
            _ => None,
        }
    }

    /// Why it is being stopped, if it is.
    #[must_use]
    pub fn goal(&self) -> Option<StopGoal> {
        match *self {
            Self::Stopping { goal, .. } => Some(goal),
            _ => None,
        }
    }

    /// When this state moves on by itself.
    #[must_use]
    pub fn timeout(&self) -> Option<Monotonic> {
        match *self {
            Self::Backoff { until } => Some(until),
            Self::Stopping {
                phase: StopPhase::Terminating { kill_at, .. },
                ..
            } => Some(kill_at),
            _ => None,
        }
    }

    /// The state as people see it; `None` while a stop is under way.
    #[must_use]
    pub fn visible(&self) -> Option<ProcessState> {
        Some(match self {
            Self::Pending | Self::Starting(_) => ProcessState::Pending,
            Self::Running { .. } => ProcessState::Running,
            Self::Backoff { .. } => ProcessState::Backoff,
            Self::Succeeded => ProcessState::Succeeded,
            Self::Failed => ProcessState::Failed,
            Self::Stopped => ProcessState::Stopped,
            Self::Stopping { .. } => return None,
        })
    }
}

/// The table of moves. Everything not in it is refused and changes nothing.
#[expect(
    clippy::match_same_arms,
    reason = "one line for each move reads as the table it is"
)]
pub fn next(state: State, input: Input) -> Result<State, IllegalTransition> {
    use Input::{Due, Exited, GraceOver, Halt, SpawnFailed, Spawned, Start};
    use State::{Backoff, Failed, Pending, Running, Starting, Stopped, Stopping, Succeeded};
    use StopPhase::{AwaitSpawn, Killing, Terminating};

    Ok(match (state, input) {
        (Pending, Start(run)) => Starting(run),
        (Starting(run), Spawned { pid, now }) => Running { run, pid, since: now },
        (Starting(_), SpawnFailed(ending)) => ending.state(),
        (Running { .. }, Exited(ending)) => ending.state(),
        (Backoff { .. }, Due) => Pending,

        (Pending | Backoff { .. } | Succeeded | Failed | Stopped, Halt { goal, .. }) => goal.rest(),
        (Starting(run), Halt { goal, grace, .. }) => run.stopping(AwaitSpawn { grace }, goal),
        (Running { run, pid, .. }, Halt { goal, grace, now }) => {
            run.stopping(StopPhase::terminating(pid, grace, now), goal)
        }
        (Stopping { run, phase, .. }, Halt { goal, grace, now }) => {
            run.stopping(phase.shortened(grace, now), goal)
        }

        (Stopping { run, phase, goal }, input) => match (phase, input) {
            (AwaitSpawn { grace }, Spawned { pid, now }) => {
                run.stopping(StopPhase::terminating(pid, grace, now), goal)
            }
            (AwaitSpawn { .. }, SpawnFailed(_)) => goal.rest(),
            (Terminating { pid, .. }, GraceOver) => run.stopping(Killing { pid }, goal),
            (Terminating { .. } | Killing { .. }, Exited(_)) => goal.rest(),
            (_, input) => return Err(IllegalTransition { state, input }),
        },

        (state, input) => return Err(IllegalTransition { state, input }),
    })
}

impl Ending {
    fn state(self) -> State {
        match self {
            Self::Again(until) => State::Backoff { until },
            Self::Succeeded => State::Succeeded,
            Self::Failed => State::Failed,
        }
    }
}

impl Run {
    fn stopping(self, phase: StopPhase, goal: StopGoal) -> State {
        State::Stopping {
            run: self,
            phase,
            goal,
        }
    }
}

impl StopPhase {
    fn terminating(pid: u32, grace: Duration, now: Monotonic) -> Self {
        let kill_at = now.plus(grace);
        Self::Terminating { pid, kill_at }
    }

    /// The same stop with at most `grace` left from `now` on.
    fn shortened(self, grace: Duration, now: Monotonic) -> Self {
        match self {
            Self::AwaitSpawn { grace: before } => Self::AwaitSpawn {
                grace: before.min(grace),
            },
            Self::Terminating { pid, kill_at } => Self::Terminating {
                pid,
                kill_at: kill_at.min(now.plus(grace)),
            },
            Self::Killing { pid } => Self::Killing { pid },
        }
    }
}
