//! A program that works on the disk, watched until it ends or the power goes.

use std::{path::Path, process::Command, process::Stdio, time::Duration};

use anyhow::Result;
use apollo_power::Disk;
use apollo_tests::harness::{PATIENCE, Running, wait};

/// How it ended and what it had said by then.
pub(crate) struct Ended {
    /// The exit code; `None` if the power went first and it was killed.
    pub(crate) code: Option<i32>,
    /// Everything it printed.
    pub(crate) stdout: String,
    /// The same for its errors.
    pub(crate) stderr: String,
}

/// Starts `command`, reading from `stdin`, and kills it as soon as the power has gone.
pub(crate) fn run(
    disk: &Disk,
    name: &str,
    command: Command,
    logs: &Path,
    stdin: Option<&str>,
) -> Result<Ended> {
    let stdin: Stdio = match stdin {
        None => Stdio::null(),
        Some(text) => {
            let path = logs.join(format!("{name}.in"));
            std::fs::write(&path, text)?;
            std::fs::File::open(&path)?.into()
        }
    };
    let mut running = Running::spawn(name, command, logs, stdin)?;
    let ended = wait::until("a program to end", LONGEST, || {
        if disk.is_cut() {
            return Ok(Some(None));
        }
        Ok(running.ended()?.map(Some))
    })?;
    running.kill()?;
    Ok(Ended {
        // What it made of the errors of a disk without power is not its doing.
        code: ended.filter(|_| !disk.is_cut()).and_then(|status| status.code()),
        stdout: running.stdout()?,
        stderr: running.stderr()?,
    })
}

/// How long a command may take that is not cut short.
const LONGEST: Duration = PATIENCE.saturating_mul(2);
