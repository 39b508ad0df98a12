//! `apollo-agent queue`: look at and tend the queue.

use std::io::{self, BufWriter};

use apollo_wire::Sequence;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::output;
use crate::{
    cli::{DataDirArgs, QueueLimitArgs},
    exit::{CommandError, Exit},
    queue::{ExportFormat, Queue},
};

/// Arguments of `queue`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  apollo-agent queue stats --json\n  apollo-agent queue list --limit 20\n  \
                        apollo-agent queue export --format csv > pending.csv\n  apollo-agent queue requeue 17 18"
)]
pub struct QueueArgs {
    #[command(flatten)]
    data: DataDirArgs,
    #[command(flatten)]
    limits: QueueLimitArgs,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// The queue in numbers
    Stats,
    /// The oldest pending observations
    List {
        /// Most rows to print
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u64,
    },
    /// Observations a gateway refused
    Dead,
    /// Ranges of sequences that were lost and not yet reported
    Gaps,
    /// Write all pending observations, oldest first
    Export {
        /// How to write them
        #[arg(long, value_enum, default_value_t = Format::Ndjson)]
        format: Format,
    },
    /// Put dead letters back into the queue, each under a new sequence
    Requeue {
        /// Their sequences, as `queue dead` shows them
        #[arg(required = true, value_name = "SEQ")]
        sequences: Vec<Sequence>,
    },
    /// Delete all pending observations; the gateway is told as a gap
    Purge {
        /// Delete the dead letters instead
        #[arg(long)]
        dead: bool,
        /// Yes, delete them
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// One JSON object a line, as `observe --stdin` reads it
    Ndjson,
    /// Comma-separated values with a header line
    Csv,
}

/// Does it.
///
/// # Errors
/// Any failure of the database or of standard output; `purge` without `--yes`.
pub fn run(args: QueueArgs) -> Result<Exit, CommandError> {
    if let Action::Purge { yes: false, .. } = args.action {
        return Err(CommandError::Usage(
            "purge deletes observations for good: say `queue purge --yes`".to_owned(),
        ));
    }
    let mut queue = Queue::open(&args.data.data_dir, args.limits.limits())?;
    match args.action {
        Action::Stats => stats(&queue, args.json)?,
        Action::List { limit } => list(&queue, limit, args.json)?,
        Action::Dead => dead(&queue, args.json)?,
        Action::Gaps => gaps(&queue, args.json)?,
        Action::Export { format } => export(&queue, format)?,
        Action::Requeue { sequences } => return requeue(&mut queue, &sequences, args.json),
        Action::Purge { dead, .. } => purge(&mut queue, dead, args.json)?,
    }
    Ok(Exit::Ok)
}

fn stats(queue: &Queue, json: bool) -> Result<(), CommandError> {
    let stats = queue.stats()?;
    if json {
        return output::json(&stats);
    }
    let oldest = stats.oldest.as_deref().unwrap_or("none");
    output::line(&format!("instance  {}", stats.instance))?;
    output::line(&format!(
        "pending   {} rows, {} bytes, oldest {oldest}",
        stats.rows, stats.bytes
    ))?;
    output::line(&format!("dead      {}", stats.dead))?;
    output::line(&format!(
        "gaps      {} ({} rows dropped for want of room)",
        stats.gaps, stats.dropped
    ))
}

fn list(queue: &Queue, limit: u64, json: bool) -> Result<(), CommandError> {
    let rows = queue.list(limit)?;
    if json {
        return output::json(&rows);
    }
    output::table(
        &[
            "SEQ",
            "OBSERVED AT",
            "PROCESS",
            "STATE",
            "REASON",
            "MESSAGE",
            "CLOCK",
            "ATTEMPTS",
            "BYTES",
        ],
        rows.into_iter().map(|row| {
            vec![
                row.seq.to_string(),
                row.observed_at,
                row.process,
                row.state.unwrap_or_default(),
                row.reason,
                row.message,
                row.clock,
                row.attempts.to_string(),
                row.bytes.to_string(),
            ]
        }),
    )
}

fn dead(queue: &Queue, json: bool) -> Result<(), CommandError> {
    let rows = queue.dead()?;
    if json {
        return output::json(&rows);
    }
    output::table(
        &[
            "SEQ",
            "OBSERVED AT",
            "PROCESS",
            "REASON",
            "REJECTED AT",
            "REJECTION",
            "DETAIL",
        ],
        rows.into_iter().map(|row| {
            vec![
                row.seq.to_string(),
                row.observed_at,
                row.process,
                row.reason,
                row.rejected_at,
                row.rejection,
                row.detail,
            ]
        }),
    )
}

fn gaps(queue: &Queue, json: bool) -> Result<(), CommandError> {
    let rows = queue.gaps()?;
    if json {
        return output::json(&rows);
    }
    output::table(
        &["FIRST", "LAST", "REASON", "CREATED AT"],
        rows.into_iter().map(|row| {
            vec![
                row.first.to_string(),
                row.last.to_string(),
                row.reason,
                row.created_at,
            ]
        }),
    )
}

fn export(queue: &Queue, format: Format) -> Result<(), CommandError> {
    let format = match format {
        Format::Ndjson => ExportFormat::Ndjson,
        Format::Csv => ExportFormat::Csv,
    };
    queue.export(BufWriter::new(io::stdout().lock()), format)?;
    Ok(())
}

/// Fails if one of the sequences is no dead letter; the others are requeued all the same.
fn requeue(queue: &mut Queue, sequences: &[Sequence], json: bool) -> Result<Exit, CommandError> {
    let moved = queue.requeue(sequences)?;
    if json {
        let moved: Vec<_> = moved
            .iter()
            .map(|(from, to)| json!({"from": from, "to": to}))
            .collect();
        output::json(&moved)?;
    } else {
        for (from, to) in &moved {
            output::line(&format!("{from} is pending again as {to}"))?;
        }
    }
    let unknown = sequences
        .iter()
        .filter(|sequence| !moved.iter().any(|(from, _)| from == *sequence));
    let unknown: Vec<String> = unknown.map(ToString::to_string).collect();
    if unknown.is_empty() {
        return Ok(Exit::Ok);
    }
    Err(CommandError::Failed {
        message: format!("not among the dead letters: {}", unknown.join(", ")),
        source: None,
    })
}

fn purge(queue: &mut Queue, dead: bool, json: bool) -> Result<(), CommandError> {
    let purged = if dead { queue.purge_dead()? } else { queue.purge()? };
    if json {
        return output::json(&json!({ "purged": purged }));
    }
    let what = if dead {
        "dead letters"
    } else {
        "pending observations"
    };
    output::line(&format!("purged {purged} {what}"))
}
