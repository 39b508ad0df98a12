//! The agent's unit for systemd.

use std::{collections::BTreeSet, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{PATIENCE, Program, Running, Sandbox, skip};

use crate::{path, read, runs};

const UNIT: &str = "deploy/systemd/apollo-agent.service";
/// Most of systemd's "exposure level", in tenths of its points; up to 2.0 counts as well protected. What the unit has
/// above zero it needs: the network, local sockets, `/proc`, and what just-in-time compilers do.
const MOST_EXPOSURE: &str = "20";
/// How long the agent may take to end, docs/agent.md.
const AGENT_ENDS_WITHIN: Duration = Duration::from_secs(87);

fn missing() -> Option<&'static str> {
    (!runs("systemd-analyze", "--version")).then_some("systemd-analyze is missing (tests/run installs it)")
}

fn analyze(sandbox: &Sandbox, arguments: &[&str]) -> Result<apollo_tests::harness::Finished> {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).env("SYSTEMD_COLORS", "0");
    Running::finish("analyze", command, sandbox.path(), None, PATIENCE)
}

/// The values of a setting of the unit, in order, continued lines joined.
fn settings(key: &str) -> Result<Vec<String>> {
    let text = read(UNIT)?.replace("\\\n", " ");
    let lines = text.lines().filter_map(|line| line.split_once('='));
    Ok(lines
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value.to_owned())
        .collect())
}

fn setting(key: &str) -> Result<String> {
    settings(key)?.pop().with_context(|| format!("no {key}"))
}

#[test]
fn systemd_understands_every_line_of_the_unit() -> Result<()> {
    if let Some(why) = missing() {
        return skip("verify deploy/systemd", why);
    }
    // A root in which nothing is but the unit and the program it starts.
    let root = Sandbox::new()?;
    for (directory, from) in [
        ("usr/bin", Program::Agent.path()?),
        ("etc/systemd/system", path(UNIT)),
    ] {
        let directory = root.join(directory);
        std::fs::create_dir_all(&directory)?;
        let name = from.file_name().context("a file without a name")?;
        std::fs::copy(&from, directory.join(name))?;
    }
    // The targets it is ordered after are not there, and are not what is looked at.
    let in_root = format!("--root={}", root.path().display());
    let found = analyze(
        &root,
        &[
            "verify",
            "--man=no",
            "--recursive-errors=no",
            &in_root,
            "apollo-agent.service",
        ],
    )?
    .success()?;
    ensure!(found.stderr.is_empty() && found.stdout.is_empty(), "{found:?}");
    Ok(())
}

#[test]
fn systemd_finds_the_unit_hardened() -> Result<()> {
    if let Some(why) = missing() {
        return skip("security of deploy/systemd", why);
    }
    let sandbox = Sandbox::new()?;
    let unit = path(UNIT).display().to_string();
    let threshold = format!("--threshold={MOST_EXPOSURE}");
    analyze(
        &sandbox,
        &["security", "--offline=true", "--no-pager", &threshold, &unit],
    )?
    .success()
    .map(drop)
}

#[test]
fn the_agent_understands_its_command_and_has_the_time_to_end() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let started = setting("ExecStart")?;
    let mut words = started.split_whitespace();
    ensure!(words.next() == Some("/usr/bin/apollo-agent"), "{started}");
    let arguments: Vec<_> = words.collect();
    let mut command = Command::new(Program::Agent.path()?);
    command.args(&arguments).arg("--help");
    Running::finish("help", command, sandbox.path(), None, PATIENCE)?.success()?;

    // Each credential that is handed over is used, and each that is used is handed over.
    let loaded = settings("LoadCredential")?;
    let loaded: BTreeSet<_> = loaded
        .iter()
        .filter_map(|value| value.split(':').next())
        .collect();
    let used = arguments.iter().filter_map(|word| word.split_once("=%d/"));
    let used: BTreeSet<_> = used.map(|(_, name)| name).collect();
    ensure!(!used.is_empty() && used == loaded, "{used:?} of {loaded:?}");
    // What the README installs is what is loaded.
    let readme = read("deploy/README.md")?;
    for value in settings("LoadCredential")? {
        let file = value.split_once(':').context("no file")?.1;
        ensure!(readme.contains(file), "README.md does not install {file}");
    }

    let within = Duration::from_secs(setting("TimeoutStopSec")?.parse()?);
    ensure!(within > AGENT_ENDS_WITHIN, "{within:?}");
    let stated = format!("after {} s", AGENT_ENDS_WITHIN.as_secs());
    ensure!(
        read("docs/agent.md")?.contains(&stated),
        "docs/agent.md says otherwise"
    );
    Ok(())
}
