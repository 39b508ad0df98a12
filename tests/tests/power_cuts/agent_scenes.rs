//! What goes on at a device when the power is cut. Each scene goes on until it is.

use anyhow::Result;
use apollo_power::At;
use rand::{Rng, rngs::StdRng};
use serde_json::json;

use crate::{
    agent_life::{AgentLife, FOREIGN},
    ledger::promised,
    program::{self, Ended},
    tally::CREATION,
};

/// Lines that one `observe --stdin` gets.
const LINES: usize = 120;
/// Bytes of a message: with [`LINES`] about 20 pages of the database, so that a checkpoint comes every dozen commands.
const MESSAGE_BYTES: usize = 600;
/// One line in this many is about a process of another device, and will be refused.
const FOREIGN_ONE_IN: usize = 20;
/// Environment variable of the flag `--queue-max-rows`, for all commands alike.
const QUEUE_ROWS: &str = "APOLLO_AGENT_QUEUE_MAX_ROWS";

/// What goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    /// First commands at once, on an empty disk.
    Creation,
    /// Several commands store observations at once.
    Intake,
    /// `sync --once` again and again, while observations are stored.
    Sync,
    /// The running agent drains, while observations are stored.
    Run,
}

impl Scene {
    /// One of the scenes after the first.
    pub(crate) fn draw(rng: &mut StdRng) -> Self {
        match rng.random_range(0..10) {
            0..4 => Self::Intake,
            4..7 => Self::Sync,
            _ => Self::Run,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Creation => CREATION,
            Self::Intake => "intake",
            Self::Sync => "sync --once",
            Self::Run => "run",
        }
    }

    pub(crate) fn syncs(self) -> bool {
        matches!(self, Self::Sync | Self::Run)
    }

    /// At which operation the power goes. Of a creation the first commits are in reach, of the other scenes several
    /// commands or exchanges and a checkpoint.
    pub(crate) fn draw_instant(self, rng: &mut StdRng) -> (At, u64) {
        // Names change while a database is made, and when the last command to close removes a grown log; beside a
        // running agent nobody is the last.
        let (any, syncs, names) = match self {
            Self::Creation => (200, 25, 8),
            Self::Intake => (800, 80, 2),
            Self::Sync | Self::Run => (600, 60, 0),
        };
        match rng.random_range(0..4) {
            0 if names > 0 => (At::Name, rng.random_range(1..=names)),
            0 | 1 => (At::Sync, rng.random_range(1..=syncs)),
            _ => (At::Any, rng.random_range(1..=any)),
        }
    }

    /// Goes on until the power has gone.
    pub(crate) fn play(self, life: &AgentLife<'_>) -> Result<()> {
        std::thread::scope(|scope| {
            let observing = ["first", "second"].map(|name| scope.spawn(move || observe(life, name)));
            let piping = (self != Self::Creation).then(|| scope.spawn(|| pipe(life)));
            let ended = match self {
                Self::Creation | Self::Intake => Ok(()),
                Self::Sync => sync(life),
                Self::Run => run(life),
            };
            if ended.is_err() {
                // The others stop only then.
                life.disk.cut_now();
            }
            let workers = observing.into_iter().chain(piping);
            let results: Vec<Result<()>> = workers
                .map(|worker| {
                    worker
                        .join()
                        .unwrap_or_else(|_| Err(anyhow::anyhow!("a worker panicked")))
                })
                .collect();
            ended?;
            results.into_iter().collect()
        })
    }
}

/// `observe` of one observation after another.
fn observe(life: &AgentLife<'_>, name: &str) -> Result<()> {
    let process = format!("default/{}", life.processes[0]);
    until_cut(life, || {
        let message = life.next_message(0);
        let arguments = [
            "--process",
            &process,
            "--state",
            "Running",
            "--reason",
            "Sample",
            "--message",
            &message,
        ];
        let ended = command(life, name, "observe", &arguments, None)?;
        confirm(life, &ended, &[message])
    })
}

/// `observe --stdin` of many observations, again and again.
fn pipe(life: &AgentLife<'_>) -> Result<()> {
    until_cut(life, || {
        let (mut text, mut messages) = (String::new(), Vec::new());
        for line in 1..=LINES {
            let foreign = line % FOREIGN_ONE_IN == 0;
            let mut message = life.next_message(MESSAGE_BYTES);
            if foreign {
                message += FOREIGN;
            }
            let process = format!("default/{}", life.processes[usize::from(foreign)]);
            text += &json!({"process": process, "state": "Running", "reason": "Sample", "message": message})
                .to_string();
            text.push('\n');
            messages.push(message);
        }
        let ended = command(life, "pipe", "observe", &["--stdin"], Some(&text))?;
        confirm(life, &ended, &messages)
    })
}

/// `sync --once` again and again.
fn sync(life: &AgentLife<'_>) -> Result<()> {
    until_cut(life, || {
        let mut command = life.agent.syncing_command_line("sync", &["--once"])?;
        command.envs(life.queue_rows.map(|rows| (QUEUE_ROWS, rows)));
        let logs = life.world.sandbox.path();
        let ended = program::run(&life.disk, "sync", command, logs, None)?;
        // 1: rows came while it was at work.
        promised!(
            matches!(ended.code, None | Some(0 | 1)),
            "sync failed with {:?} on a working disk: {}",
            ended.code,
            ended.stderr
        );
        Ok(())
    })
}

/// The agent as a service.
fn run(life: &AgentLife<'_>) -> Result<()> {
    let mut command = life
        .agent
        .syncing_command_line("run", &["--sync-interval", "100ms", "--heartbeat", "1s"])?;
    command.envs(life.queue_rows.map(|rows| (QUEUE_ROWS, rows)));
    let ended = program::run(&life.disk, "run", command, life.world.sandbox.path(), None)?;
    promised!(
        ended.code.is_none(),
        "run ended with {:?}: {}",
        ended.code,
        ended.stderr
    );
    Ok(())
}

fn command(
    life: &AgentLife<'_>,
    name: &str,
    verb: &str,
    arguments: &[&str],
    stdin: Option<&str>,
) -> Result<Ended> {
    let mut command = life.agent.command_line(verb, arguments)?;
    command.envs(life.queue_rows.map(|rows| (QUEUE_ROWS, rows)));
    program::run(&life.disk, name, command, life.world.sandbox.path(), stdin)
}

/// Does it again until the power has gone; after an error of its own it takes the power from everybody, or they would
/// never stop.
fn until_cut(life: &AgentLife<'_>, again: impl Fn() -> Result<()>) -> Result<()> {
    while !life.disk.is_cut() {
        if let Err(error) = again() {
            life.disk.cut_now();
            return Err(error);
        }
    }
    Ok(())
}

/// Enters what a command printed into the ledger: a sequence, or lines of ranges, in the order of the messages.
fn confirm(life: &AgentLife<'_>, ended: &Ended, messages: &[String]) -> Result<()> {
    promised!(
        matches!(ended.code, None | Some(0)),
        "observe failed with {:?} on a working disk: {}",
        ended.code,
        ended.stderr
    );
    let mut messages = messages.iter();
    // Only a whole line is a word.
    let lines = ended
        .stdout
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    for line in lines.map(str::trim_end) {
        let (first, last) = line.split_once('-').unwrap_or((line, line));
        for (sequence, message) in (first.parse::<u64>()?..=last.parse::<u64>()?).zip(messages.by_ref()) {
            life.ledger.confirm(sequence, message)?;
        }
    }
    Ok(())
}
