//! The newcomer's first command does what it says.

use std::{process::Command, time::Duration};

use anyhow::{Result, ensure};
use apollo_tests::harness::{Running, Sandbox};

#[test]
fn the_quickstart_tells_its_story_and_every_observation_arrives_exactly_once() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_apollo-quickstart"));
    command.arg("--once");
    let done = Running::finish(
        "quickstart",
        command,
        sandbox.path(),
        None,
        Duration::from_secs(300),
    )?
    .success()?;
    for part in [
        "Start the gateway",
        "collector",
        "Cut the link",
        "Restore the link",
        "exactly once",
    ] {
        ensure!(
            done.stdout.contains(part),
            "{part:?} is missing in:\n{}",
            done.stdout
        );
    }
    // Colours are for terminals.
    ensure!(!done.stdout.contains('\u{1b}'), "escape codes in a pipe");
    Ok(())
}
