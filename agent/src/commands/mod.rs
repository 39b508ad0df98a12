//! One module for each subcommand, and what they share to print.

pub mod desired;
pub mod intake;
pub mod observe;
pub mod queue;
pub mod run;
pub mod status;
pub mod sync;

mod agent;
mod output;
