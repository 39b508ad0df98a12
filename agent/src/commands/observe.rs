//! `apollo-agent observe`: store observations, one from the command line or many from standard input.

use std::{
    io::{self, BufReader},
    ops::RangeInclusive,
    os::fd::AsFd,
};

use apollo_wire::{Clock, ProcessRef, ProcessState, Sequence, SpecHash, UnixMillis, Value};
use clap::{ArgGroup, Args, builder::PossibleValuesParser, builder::TypedValueParser};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, de::IntoDeserializer, de::value::Error as WordError};
use serde_json::json;

use super::{intake, output};
use crate::{
    cli::{DataDirArgs, QueueLimitArgs},
    clock,
    exit::{CommandError, Exit},
    queue::{NewObservation, Queue},
};

/// Most lines stored in one transaction: with the largest observations that is 20 MiB of memory, and one sync for so
/// many lines costs next to nothing.
const CHUNK_LINES: usize = 4_096;

/// How much of the input is read at once, bytes.
const INPUT_BUFFER_BYTES: usize = 256 * 1024;

/// Lines are stored when this long nothing more arrives. Long enough for `cat` to refill a pipe, too short to notice.
const INPUT_PAUSE_MS: u8 = 5;

/// Arguments of `observe`.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("source").required(true).args(["process", "stdin"]),
    after_help = "Examples:\n  \
        apollo-agent observe --process default/collector --state Running --reason Started \\\n    \
        --value rss_kib=5321\n  \
        apollo-agent observe --stdin < observations.ndjson\n\n\
        Prints the sequence stored; with --stdin a line FIRST-LAST for each transaction, once it is on disk.\n\
        With --stdin each line is a JSON object with the report's field names, such as\n  \
        {\"process\":\"default/collector\",\"observedAt\":\"2026-11-23T09:58:11.120Z\",\"state\":\"Running\"}\n\
        A bad line is reported with its number, the others are stored, and the exit code is 1."
)]
pub struct ObserveArgs {
    #[command(flatten)]
    data: DataDirArgs,
    #[command(flatten)]
    limits: QueueLimitArgs,
    /// Read observations from standard input, one JSON object a line
    #[arg(long, conflicts_with_all = ["state", "reason", "message", "values", "at", "clock", "spec_hash", "pid",
                                      "exit_code", "restarts"])]
    stdin: bool,
    /// Print JSON: {"first":N,"last":N}
    #[arg(long)]
    json: bool,
    /// The DeviceProcess it is about, NAMESPACE/NAME
    #[arg(long, value_name = "NS/NAME")]
    process: Option<ProcessRef>,
    /// The process's state; without it the observation is history only
    #[arg(long, value_parser = words::<ProcessState>(&["Pending", "Running", "Backoff", "Succeeded", "Failed", "Stopped"]))]
    state: Option<ProcessState>,
    /// A CamelCase word for machines
    #[arg(long, default_value = "")]
    reason: String,
    /// A sentence for people; cut after 1,024 bytes
    #[arg(long, default_value = "")]
    message: String,
    /// A measurement: NAME=NUMBER; repeatable
    #[arg(long = "value", value_name = "NAME=NUMBER", value_parser = parse_value)]
    values: Vec<(String, Value)>,
    /// When it was observed, such as 2026-11-23T09:58:11Z; now if absent
    #[arg(long, value_name = "RFC3339")]
    at: Option<UnixMillis>,
    /// What the clock was worth: synced if --at is given, else as this machine's clock is
    #[arg(long, value_parser = words::<Clock>(&["synced", "unsynced", "unknown"]))]
    clock: Option<Clock>,
    /// The spec it was running, 16 hex digits
    #[arg(long, value_name = "HEX")]
    spec_hash: Option<SpecHash>,
    /// Process id
    #[arg(long)]
    pid: Option<u32>,
    /// Exit code; 128 + N for an end by signal N
    #[arg(long, value_name = "CODE", allow_negative_numbers = true)]
    exit_code: Option<i32>,
    /// How often it was restarted
    #[arg(long, value_name = "N")]
    restarts: Option<u32>,
}

/// Accepts the words that a wire type is written as.
fn words<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: for<'de> Deserialize<'de> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| {
        let word: serde::de::value::StringDeserializer<WordError> = word.into_deserializer();
        T::deserialize(word)
    })
}

fn parse_value(text: &str) -> Result<(String, Value), String> {
    let (name, number) = text.split_once('=').ok_or("expected NAME=NUMBER")?;
    let number = number.parse().ok().and_then(Value::new);
    Ok((
        name.to_owned(),
        number.ok_or_else(|| format!("{name}: expected a finite number"))?,
    ))
}

/// Stores.
///
/// # Errors
/// Any failure of the database, of standard input or output; an observation over a bound of the contract.
pub fn run(mut args: ObserveArgs) -> Result<Exit, CommandError> {
    let mut queue = Queue::open(&args.data.data_dir, args.limits.limits())?;
    let Some(process) = args.process.take() else {
        return store_lines(&mut queue, args.json);
    };
    let json = args.json;
    let sequences = queue.append(&[observation(process, args)])?;
    print(&sequences, json)?;
    Ok(Exit::Ok)
}

fn observation(process: ProcessRef, args: ObserveArgs) -> NewObservation {
    let now = clock::read();
    let measured = if args.at.is_none() {
        now.clock
    } else {
        Clock::Synced
    };
    NewObservation {
        process,
        observed_at: args.at.unwrap_or(now.now),
        clock: args.clock.unwrap_or(measured),
        uptime_ms: now.uptime_ms,
        state: args.state,
        spec_hash: args.spec_hash,
        pid: args.pid,
        exit_code: args.exit_code,
        restarts: args.restarts,
        reason: args.reason,
        message: args.message,
        values: args.values.into_iter().collect(),
    }
}

/// Stores standard input line by line, in transactions as large as the input's pace allows.
fn store_lines(queue: &mut Queue, json: bool) -> Result<Exit, CommandError> {
    let mut input = BufReader::with_capacity(INPUT_BUFFER_BYTES, io::stdin());
    let (mut line, mut chunk) = (Vec::new(), Vec::new());
    let (mut number, mut bad) = (0_u64, 0_u64);
    let mut now = clock::read();
    while let Some(read) = intake::read_line(&mut input, &mut line).map_err(CommandError::Input)? {
        number += 1;
        match read.and_then(|()| intake::parse(&line, &now)) {
            Ok(observation) => chunk.push(observation),
            Err(_) if line.trim_ascii().is_empty() => {}
            Err(error) => {
                bad += 1;
                eprintln!("line {number}: {error}");
            }
        }
        if chunk.len() >= CHUNK_LINES || !input.buffer().contains(&b'\n') && pauses(&input)? {
            store(queue, &mut chunk, json)?;
            now = clock::read();
        }
    }
    store(queue, &mut chunk, json)?;
    if bad == 0 {
        return Ok(Exit::Ok);
    }
    let message = format!("{bad} of {number} lines were not stored");
    Err(CommandError::Failed {
        message,
        source: None,
    })
}

/// Stores the lines read so far and prints their sequences: what is printed is on disk.
fn store(queue: &mut Queue, chunk: &mut Vec<NewObservation>, json: bool) -> Result<(), CommandError> {
    let sequences = queue.append(chunk)?;
    chunk.clear();
    if sequences.is_empty() {
        return Ok(());
    }
    print(&sequences, json)
}

fn print(sequences: &RangeInclusive<Sequence>, json: bool) -> Result<(), CommandError> {
    let (first, last) = (sequences.start(), sequences.end());
    if json {
        output::json(&json!({"first": first, "last": last}))
    } else if first == last {
        output::line(&first.to_string())
    } else {
        output::line(&format!("{first}-{last}"))
    }
}

/// True if nothing more arrives for a moment. A file never pauses: its end is always readable.
fn pauses(input: &BufReader<io::Stdin>) -> Result<bool, CommandError> {
    let mut source = [PollFd::new(input.get_ref().as_fd(), PollFlags::POLLIN)];
    match poll(&mut source, PollTimeout::from(INPUT_PAUSE_MS)) {
        Ok(ready) => Ok(ready == 0),
        // A signal: look again after the next line.
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(error) => Err(CommandError::Input(error.into())),
    }
}
