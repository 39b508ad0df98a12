//! `apollo-agent desired`: the last desired state this device fetched.

use clap::Args;
use serde_json::json;

use super::output;
use crate::{
    cli::DataDirArgs,
    exit::{CommandError, Exit},
};

/// Arguments of `desired`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  apollo-agent desired --json | jq '.processes[].name'")]
pub struct DesiredArgs {
    #[command(flatten)]
    data: DataDirArgs,
    /// Print one JSON object: the document with `etag` and `fetchedAt`, or null before the first fetch
    #[arg(long)]
    json: bool,
}

/// Shows it.
///
/// # Errors
/// Any failure of the database or of standard output.
pub fn run(args: &DesiredArgs) -> Result<Exit, CommandError> {
    let stored = args.data.open()?.desired()?;
    if args.json {
        output::json(&stored.map(|stored| {
            json!({
                "device": stored.document.device,
                "etag": stored.etag,
                "fetchedAt": stored.fetched_at,
                "processes": stored.document.processes,
            })
        }))?;
        return Ok(Exit::Ok);
    }
    let Some(stored) = stored else {
        output::line(
            "No desired state yet: this device has not reached a gateway since its database was made.",
        )?;
        return Ok(Exit::Ok);
    };
    output::line(&format!(
        "device {}, fetched {}, etag {}",
        stored.document.device, stored.fetched_at, stored.etag
    ))?;
    output::table(
        &["PROCESS", "GENERATION", "SPEC HASH", "SPEC"],
        stored.document.processes.iter().map(|process| {
            vec![
                format!("{}/{}", process.namespace, process.name),
                process.generation.to_string(),
                process.spec_hash.to_string(),
                process.spec.get().to_owned(),
            ]
        }),
    )?;
    Ok(Exit::Ok)
}
