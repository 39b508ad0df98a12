//! `apollo-agent status`: one line why nothing is moving.

use apollo_wire::UnixMillis;
use clap::Args;
use serde_json::json;

use super::output;
use crate::{
    cli::DataDirArgs,
    clock,
    exit::{CommandError, Exit},
    queue::{Stats, SyncStatus},
    run_lock,
};

/// An attempt this long overdue is worth a word. Longer than exchanges usually take.
const OVERDUE_MS: i64 = 60_000;

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  apollo-agent status --json | jq -r .explanation")]
pub struct StatusArgs {
    #[command(flatten)]
    data: DataDirArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints it.
///
/// # Errors
/// Any failure of the database or of standard output.
pub fn run(args: &StatusArgs) -> Result<Exit, CommandError> {
    let now = clock::now();
    let queue = args.data.open()?;
    let (stats, sync) = (queue.stats()?, queue.sync_status(now)?);
    // Where it cannot be told, what is on disk is.
    let running = run_lock::is_running(&args.data.data_dir).unwrap_or(true);
    let explanation = explain(&stats, &sync, running, now);
    if !args.json {
        output::line(&explanation)?;
        return Ok(Exit::Ok);
    }
    output::json(&json!({
        "instance": stats.instance,
        "pending": stats.rows,
        "dead": stats.dead,
        "gaps": stats.gaps,
        "dropped": stats.dropped,
        "lastSuccess": sync.last_success,
        "nextAttempt": sync.next_attempt,
        "lastError": sync.last_error,
        "lastErrorAt": sync.last_error_at,
        "ackedTotal": sync.acked_total,
        "bytesSentToday": sync.bytes_sent_today,
        "bytesReceivedToday": sync.bytes_received_today,
        "previousInstance": sync.previous_instance,
        "explanation": explanation,
    }))?;
    Ok(Exit::Ok)
}

/// What waits, what went wrong, what happens next.
fn explain(stats: &Stats, sync: &SyncStatus, running: bool, now: UnixMillis) -> String {
    let mut parts = vec![waiting(stats)];
    match (&sync.last_error, sync.last_success) {
        (Some(error), last_success) => {
            let when = sync
                .last_error_at
                .map(|at| format!(" {}", ago(at, now)))
                .unwrap_or_default();
            parts.push(format!("the last attempt failed{when}: {error}"));
            parts.push(match last_success {
                Some(at) => format!("the last success was {}", ago(at, now)),
                None => "no attempt has succeeded yet".to_owned(),
            });
        }
        (None, Some(at)) => parts.push(format!("the last exchange succeeded {}", ago(at, now))),
        (None, None) => parts.push("no exchange was tried yet".to_owned()),
    }
    parts.push(next(sync, running, now));
    if stats.dead > 0 {
        parts.push(format!("{} refused (see `apollo-agent queue dead`)", stats.dead));
    }
    parts.join("; ")
}

fn waiting(stats: &Stats) -> String {
    match (stats.rows, stats.gaps) {
        (0, 0) => "nothing is pending".to_owned(),
        (0, gaps) => format!("no observations are pending, {gaps} gap records are"),
        (rows, _) => {
            let oldest = stats.oldest.as_deref().unwrap_or("unknown");
            format!("{rows} pending, the oldest from {oldest}")
        }
    }
}

fn next(sync: &SyncStatus, running: bool, now: UnixMillis) -> String {
    match sync.next_attempt {
        _ if !running => "no attempt will be made: `apollo-agent run` is not running".to_owned(),
        None => "an attempt is under way, or the agent is ending".to_owned(),
        Some(at) if now.since(at) > OVERDUE_MS => {
            format!("the attempt that was due {} is not over yet", ago(at, now))
        }
        Some(at) if now.since(at) >= 0 => "an attempt is due now".to_owned(),
        Some(at) => format!("the next attempt is in {}", span(at.since(now))),
    }
}

/// "3m 20s ago"; a device's clock may have jumped, so also "in 2h (by this clock)".
fn ago(at: UnixMillis, now: UnixMillis) -> String {
    let elapsed_ms = now.since(at);
    if elapsed_ms >= 0 {
        format!("{} ago", span(elapsed_ms))
    } else {
        format!("at {at}, which is in the future by this clock")
    }
}

/// Milliseconds for people, in whole seconds.
fn span(ms: i64) -> String {
    let seconds = u64::try_from(ms / 1000).unwrap_or(0);
    humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string()
}
