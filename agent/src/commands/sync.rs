//! `apollo-agent sync`.

use clap::Args;

use crate::exit::{CommandError, Exit};

/// Arguments of `sync`.
#[derive(Debug, Args)]
pub struct SyncArgs {}

/// Exchanges with the gateway now.
///
/// # Errors
/// Always, until it exists.
pub fn run(_args: SyncArgs) -> Result<Exit, CommandError> {
    Err(CommandError::Failed {
        message: "sync is not available yet".to_owned(),
        source: None,
    })
}
