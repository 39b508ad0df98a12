//! Processes of an earlier life of the agent: found, and stopped before anything is started.
//!
//! A process is ours if its record says so (same boot, same process id, same start time), or if it carries our data
//! directory and a process name in its environment. The record catches a program that cleared its environment; the
//! environment catches a child whose record was not yet written when the agent was killed, and grandchildren whose
//! parent is gone. A process id alone proves nothing, since it is reused.

use std::{collections::BTreeMap, os::unix::ffi::OsStrExt, path::Path, time::Duration};

use apollo_agent_core::supervise::Reason;
use apollo_wire::{ProcessRef, ProcessState};
use nix::sys::signal::{Signal, kill};
use tokio::time::{Instant, sleep};

use super::{
    Setup,
    children::{group_id, signal_group},
    process_table::{self, ProcessEntry},
    spawn::{DATA_DIR_VARIABLE, PROCESS_VARIABLE},
};
use crate::{
    clock,
    queue::{NewObservation, SupervisedProcess},
};

/// Time between SIGTERM and SIGKILL for left-overs: the default of `stopGracePeriodSeconds`. Their own spec may be gone.
pub const LEFT_OVER_GRACE: Duration = Duration::from_secs(10);
/// How often to look whether they are gone: they are not our children any more, so nobody tells us.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// One process found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LeftOver {
    process: ProcessRef,
    entry: ProcessEntry,
}

/// Finds and stops them all; one observation for each process that had any.
pub(super) async fn stop(records: &[SupervisedProcess], setup: &Setup) -> Vec<NewObservation> {
    let mut stopped: BTreeMap<ProcessRef, NewObservation> = BTreeMap::new();
    let mut signal = Signal::SIGTERM;
    let mut signalled: Vec<ProcessEntry> = Vec::new();
    let mut deadline = Instant::now() + setup.left_over_grace;
    loop {
        let found = find(records, &setup.data_dir, &setup.boot_id);
        for left_over in &found {
            if !signalled.contains(&left_over.entry) {
                signalled.push(left_over.entry);
                send(left_over, signal);
            }
            stopped
                .entry(left_over.process.clone())
                .or_insert_with(|| observation(left_over, records));
        }
        if found.is_empty() {
            return stopped.into_values().collect();
        }
        if Instant::now() >= deadline {
            if signal == Signal::SIGKILL {
                tracing::error!(processes = found.len(), "left-over processes do not die");
                return stopped.into_values().collect();
            }
            signal = Signal::SIGKILL;
            signalled.clear();
            deadline = Instant::now() + setup.kill_wait;
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Everything of ours that is alive now.
fn find(records: &[SupervisedProcess], data_dir: &Path, boot_id: &str) -> Vec<LeftOver> {
    let recorded = |entry: &ProcessEntry| {
        let is_it = |record: &&SupervisedProcess| {
            (record.pid, record.pid_start_ticks, record.boot_id.as_str())
                == (entry.pid, entry.start_ticks, boot_id)
        };
        records.iter().find(is_it).map(|record| record.process.clone())
    };
    let marked = |entry: &ProcessEntry| {
        let environment = process_table::environment_of(entry.pid)?;
        let ours = environment.get(DATA_DIR_VARIABLE)? == data_dir.as_os_str().as_bytes();
        let process = std::str::from_utf8(environment.get(PROCESS_VARIABLE)?)
            .ok()?
            .parse()
            .ok()?;
        ours.then_some(process)
    };
    process_table::all()
        .filter(|entry| !entry.ended && entry.pid != std::process::id())
        .filter_map(|entry| {
            let process = recorded(&entry).or_else(|| marked(&entry))?;
            Some(LeftOver { process, entry })
        })
        .collect()
}

/// A leader stands for its group; any other process only for itself, since its group may not be ours.
fn send(left_over: &LeftOver, signal: Signal) {
    let ProcessEntry { pid, group, .. } = left_over.entry;
    tracing::info!(process = %left_over.process, pid, %signal, "stopping a left-over process");
    if pid == group {
        signal_group(pid, signal);
    } else if let Some(pid) = group_id(pid) {
        // Gone between the look and the signal is what we want anyway.
        let _ = kill(pid, signal);
    }
}

fn observation(left_over: &LeftOver, records: &[SupervisedProcess]) -> NewObservation {
    let record = records.iter().find(|record| record.process == left_over.process);
    NewObservation {
        state: Some(ProcessState::Stopped),
        spec_hash: record.map(|record| record.spec_hash),
        pid: Some(record.map_or(left_over.entry.pid, |record| record.pid)),
        reason: Reason::LeftOverStopped.as_str().to_owned(),
        ..NewObservation::new(left_over.process.clone(), &clock::read())
    }
}
