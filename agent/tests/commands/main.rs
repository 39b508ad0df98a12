//! The commands as people and scripts run them: the real program on a database of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod observe;
mod program;
mod queue;
mod run;
mod status;
