//! `apollo-agent sync --once`.

use std::fmt::Write;

use apollo_agent_core::engine::FailureKind;
use clap::Args;
use serde_json::json;

use super::{
    agent::{self, Configured},
    output,
};
use crate::{
    config::ConfigArgs,
    driver::{Driver, Summary},
    exit::{CommandError, Exit},
    metrics::Metrics,
    queue::Queue,
    telemetry,
};

/// Arguments of `sync`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 everything pending was settled, 1 not everything, 3 no gateway answered.\n\n\
                  Example:\n  apollo-agent sync --once --gateway https://gateway.example.com:4433 \\\n    \
                  --ca ca.pem --cert buoy-17.pem --key buoy-17.key --data-dir /var/lib/apollo"
)]
pub struct SyncArgs {
    /// Exchange now, until everything pending is settled or nothing moves, and exit
    #[arg(long, required = true)]
    once: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Exchanges with the gateway now.
///
/// # Errors
/// Configuration, certificates, the database. That the gateway cannot be reached is no error here but an exit code.
pub fn run(args: SyncArgs) -> Result<Exit, CommandError> {
    let (config, identity) = match agent::configure(&args.config)? {
        Configured::Go(configured) => *configured,
        Configured::Done(exit) => return Ok(exit),
    };
    telemetry::start(config.log_format);
    let queue = Queue::open(&config.data_dir, config.queue)?;
    let setup = agent::setup(&config, identity, queue, Metrics::default())?;
    let summary = agent::runtime()?
        .block_on(async { Driver::new(setup, None).await?.run_once().await })
        .map_err(agent::failed)?;
    if args.json {
        output::json(&as_json(&summary))?;
    } else {
        output::line(&as_line(&summary))?;
    }
    Ok(exit(&summary))
}

fn exit(summary: &Summary) -> Exit {
    match summary.failure {
        None if summary.pending == 0 => Exit::Ok,
        Some(FailureKind::Unreachable | FailureKind::Interrupted) => Exit::Unreachable,
        Some(FailureKind::Storage) => Exit::Storage,
        _ => Exit::Failed,
    }
}

fn as_line(summary: &Summary) -> String {
    let Summary {
        acked,
        dead,
        pending,
        exchanges,
        ip_bytes,
        ..
    } = summary;
    let mut line = format!(
        "{acked} acknowledged, {dead} refused, {pending} pending; {exchanges} exchange{}, {} bytes sent, {} received",
        if *exchanges == 1 { "" } else { "s" },
        ip_bytes.sent,
        ip_bytes.received
    );
    if let Some(error) = &summary.last_error {
        // Writing into a String does not fail.
        let _ = write!(line, "; {error}");
    }
    line
}

fn as_json(summary: &Summary) -> serde_json::Value {
    json!({
        "acknowledged": summary.acked,
        "refused": summary.dead,
        "pending": summary.pending,
        "exchanges": summary.exchanges,
        "bytesSent": summary.ip_bytes.sent,
        "bytesReceived": summary.ip_bytes.received,
        "lastError": summary.last_error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_whether_everything_was_settled() {
        let exit_of = |pending, failure| {
            exit(&Summary {
                pending,
                failure,
                ..Summary::default()
            })
        };
        assert_eq!(exit_of(0, None), Exit::Ok);
        assert_eq!(exit_of(1, None), Exit::Failed);
        assert_eq!(exit_of(0, Some(FailureKind::Unreachable)), Exit::Unreachable);
        assert_eq!(exit_of(1, Some(FailureKind::Interrupted)), Exit::Unreachable);
        assert_eq!(exit_of(1, Some(FailureKind::Status(403))), Exit::Failed);
        assert_eq!(exit_of(1, Some(FailureKind::Storage)), Exit::Storage);
    }
}
