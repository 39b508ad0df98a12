//! `apollo-agent run`.

use clap::Args;

use crate::exit::{CommandError, Exit};

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {}

/// Runs the agent.
///
/// # Errors
/// Always, until it exists.
pub fn run(_args: RunArgs) -> Result<Exit, CommandError> {
    Err(CommandError::Failed {
        message: "run is not available yet".to_owned(),
        source: None,
    })
}
