//! The device process: a durable queue, the exchange with the gateway, the supervisor of the device's processes, and
//! the commands.
//!
//! What to decide is in `apollo-agent-core`; this crate does the IO it asks for.

pub mod cli;
pub mod client;
pub mod clock;
pub mod commands;
pub mod config;
pub mod driver;
pub mod exit;
pub mod metrics;
pub mod queue;
pub mod run_lock;
pub mod supervisor;
pub mod telemetry;
