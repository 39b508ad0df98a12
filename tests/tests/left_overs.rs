//! S-13 on the running programs: what a killed agent leaves alive is stopped by its successor, which then starts the
//! process anew and reports both.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result, ensure};
use apollo_tests::{
    harness::{PATIENCE, World, wait},
    workload,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const DEVICE: &str = "buoy-17";
/// A program with a child of its own, as most services have.
const COMMAND: &str = "[/bin/sh, -c, \"sleep 1000 & wait\"]";
/// That program and its child.
const PROCESSES: usize = 2;

/// The processes that carry an agent's data directory and a process name in their environment, those excepted that have
/// ended and wait for their parent to notice.
fn children_of(data_dir: &Path) -> Result<BTreeSet<i32>> {
    let marks = [
        format!("APOLLO_AGENT_DATA_DIR={}", data_dir.canonicalize()?.display()),
        "APOLLO_PROCESS=default/collector".to_owned(),
    ];
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Ok(pid) = name.parse() else { continue };
        // A process may end between two looks.
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment);
        let is_marked = marks
            .iter()
            .all(|mark| environment.split('\0').any(|variable| variable == mark));
        let status = std::fs::read_to_string(path.join("status")).unwrap_or_default();
        if is_marked && !status.contains("State:\tZ") {
            found.insert(pid);
        }
    }
    Ok(found)
}

/// Ends whatever is left when the test fails half way: only processes with this test's own directory.
struct Sweep<'a>(&'a Path);

impl Drop for Sweep<'_> {
    fn drop(&mut self) {
        for pid in children_of(self.0).unwrap_or_default() {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

#[test]
fn what_a_killed_agent_leaves_alive_is_stopped_and_started_anew_by_the_next() -> Result<()> {
    let world = World::new(&[])?;
    let object = workload::device_process("collector", DEVICE);
    world
        .gateway
        .apply(&object.replace("[/bin/sleep, infinity]", COMMAND))?;
    let agent = world.agent(DEVICE)?;
    let often = ["--sync-interval", "100ms", "--heartbeat", "1s"];

    let mut first = agent.start(&often)?;
    let sweep = Sweep(agent.data_dir());
    let running = |before: &BTreeSet<i32>| {
        let status = world.status("collector")?;
        let pid = status["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        let is_new = pid.is_some_and(|pid| !before.contains(&pid));
        Ok((status["state"] == "Running" && is_new).then_some(pid).flatten())
    };
    let nobody = BTreeSet::new();
    let old = wait::until("the process to run", PATIENCE, || running(&nobody))?;
    let left = wait::until("its child", PATIENCE, || {
        let children = children_of(sweep.0)?;
        Ok((children.len() == PROCESSES).then_some(children))
    })?;
    first.kill()?;
    ensure!(children_of(sweep.0)? == left, "they outlive their agent");

    let mut second = agent.start(&often)?.ending_its_children();
    let new = wait::until("the process to run again", PATIENCE, || running(&left))?;
    let children = children_of(sweep.0)?;
    ensure!(left.is_disjoint(&children), "{left:?} are not gone: {children:?}");
    ensure!(children.contains(&new), "{new} is not among {children:?}");

    let mut told: Vec<(u64, String, i64)> = world
        .gateway
        .observations(DEVICE)?
        .iter()
        .map(|o| {
            let reason = o["reason"].as_str().context("no reason")?.to_owned();
            Ok((
                o["seq"].as_u64().context("no seq")?,
                reason,
                o["pid"].as_i64().unwrap_or(0),
            ))
        })
        .collect::<Result<_>>()?;
    told.sort();
    let told: Vec<(&str, i64)> = told
        .iter()
        .map(|(_, reason, pid)| (reason.as_str(), *pid))
        .collect();
    let expected = [
        ("Started", i64::from(old)),
        ("LeftOverStopped", i64::from(old)),
        ("Started", i64::from(new)),
    ];
    ensure!(told == expected, "{told:?}");

    second.terminate(PATIENCE)?;
    ensure!(
        children_of(sweep.0)?.is_empty(),
        "an agent that is stopped leaves nobody"
    );
    Ok(())
}
