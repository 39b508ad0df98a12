//! The device process: a durable queue, the exchange with the gateway, the supervisor of the device's processes, and
//! the commands.
//!
//! What to decide is in `apollo-agent-core`; this crate does the IO it asks for.

pub mod cli;
pub mod clock;
pub mod commands;
pub mod exit;
pub mod queue;
pub mod supervisor;
