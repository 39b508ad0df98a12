//! The commands as people and scripts run them: the real program on a database of its own.

mod observe;
mod program;
mod queue;
mod status;
