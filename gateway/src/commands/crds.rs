//! `crds`: the CustomResourceDefinitions, for `kubectl apply`.

use std::io::Write;

use crate::{crds, exit::Failure};

/// Flags of `crds`: none.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  apollo-gateway crds | kubectl apply -f -")]
pub struct CrdsArgs {}

/// Runs `crds`.
pub fn run(_args: &CrdsArgs) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for (_, definition) in crds::definitions() {
        let yaml = crds::yaml(&definition).map_err(|error| Failure::Failed(error.into()))?;
        write!(out, "---\n{yaml}").map_err(|error| Failure::Failed(error.into()))?;
    }
    Ok(())
}
