//! Decides which processes run on the device, and says so in observations.
//!
//! [`Supervisor`] takes events (a new desired state, a child that started or ended, a timer) and hands out effects
//! (start this, signal that, record this). It performs nothing itself: `apollo_agent::supervisor` does. The rules,
//! with every reason and constant, are in `docs/supervision.md`; the moves of one process are in [`State`].

mod desired_item;
mod entry;
mod event;
mod limits;
mod observed;
mod plan;
mod state;
mod stop;
mod supervisor;

pub use desired_item::{DesiredItem, SpecDefect};
pub use event::{Effect, Event, Exit, RunId, StopSignal};
pub use limits::Limits;
pub use observed::{Observed, Reason};
pub use state::{Ending, IllegalTransition, Input, Run, State, StopGoal, StopPhase, next};
pub use supervisor::Supervisor;
