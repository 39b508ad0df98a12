//! What is kept in the end: history in Postgres, statuses on the API server.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{
    condition,
    fleet::Fleet,
    kube::{Kind, KubeWorld},
};
use serde_json::Value;

use crate::story::Story;

/// History is the set of what was sent, nothing more, nothing less, and nothing else under the same identity.
pub(crate) fn holds_each_once(world: &KubeWorld, fleet: &Fleet, story: &Story) -> Result<()> {
    let mut sent = BTreeSet::new();
    for (device, frames) in fleet.devices().iter().zip(&story.frames) {
        for frame in frames {
            for observation in &frame.observations {
                let text = |field: &str| observation[field].as_str().unwrap_or_default().to_owned();
                sent.insert(format!(
                    "{}|{}|{}|{}|{}|{}",
                    device.name(),
                    frame.instance,
                    observation["seq"],
                    text("process"),
                    text("state"),
                    text("message")
                ));
            }
        }
    }
    let rows = world.postgres.psql(
        "SELECT device, instance, seq, process, state, message FROM apollo.observations WHERE orphaned = 0",
    )?;
    let kept: Vec<String> = rows.lines().map(str::to_owned).collect();
    let distinct: BTreeSet<String> = kept.iter().cloned().collect();
    ensure!(
        kept.len() == distinct.len(),
        "{} rows, {} of them different",
        kept.len(),
        distinct.len()
    );
    let missing: Vec<_> = sent.difference(&distinct).take(5).collect();
    let unsent: Vec<_> = distinct.difference(&sent).take(5).collect();
    ensure!(
        missing.is_empty() && unsent.is_empty(),
        "missing {missing:#?}, never sent {unsent:#?}"
    );
    Ok(())
}

/// Each status is that of the greatest (epoch, sequence) in history that has a state, in every field.
pub(crate) fn statuses_are_the_maximum(world: &KubeWorld, names: &[String]) -> Result<()> {
    let rows = world.postgres.psql(
        "SELECT DISTINCT ON (process) process, json_build_object('state', state, 'pid', pid, 'exitCode', exit_code,
            'restarts', restarts, 'reason', reason, 'message', message,
            'sync', json_build_object('epoch', epoch, 'sequence', seq))
         FROM apollo.observations WHERE state IS NOT NULL ORDER BY process, epoch DESC, seq DESC",
    )?;
    let mut maxima = BTreeMap::new();
    for row in rows.lines() {
        let (process, fields) = row.split_once('|').context("no such row")?;
        maxima.insert(process.to_owned(), serde_json::from_str::<Value>(fields)?);
    }
    ensure!(
        maxima.len() > names.len() / 2,
        "only {} processes were observed",
        maxima.len()
    );
    for name in names {
        let status = world.status(name)?;
        let connected = condition(&status, "AgentConnected");
        ensure!(connected["status"] == "True", "{name}: {status}");
        let expected = maxima
            .get(&format!("default/{name}"))
            .cloned()
            .unwrap_or_default();
        for field in [
            "state", "pid", "exitCode", "restarts", "reason", "message", "sync",
        ] {
            ensure!(
                status[field] == expected[field],
                "{name}: {status} in place of {expected}"
            );
        }
    }
    Ok(())
}

/// Epochs are the same in history and in Devices, and no Device knows more than history.
pub(crate) fn epochs_agree(world: &KubeWorld, count: usize) -> Result<()> {
    let rows = world.postgres.psql(
        "SELECT device, instance, epoch, max(seq) FROM apollo.observations GROUP BY device, instance, epoch",
    )?;
    let mut in_history = BTreeMap::new();
    for row in rows.lines() {
        let columns: Vec<&str> = row.split('|').collect();
        let [device, instance, epoch, highest] = columns[..] else {
            anyhow::bail!("{row}");
        };
        let known = in_history.insert(
            (device, instance),
            (epoch.parse::<u64>()?, highest.parse::<u64>()?),
        );
        ensure!(known.is_none(), "{device} {instance} has two epochs");
    }
    let devices = world.api.client().items(Kind::DEVICES)?;
    ensure!(devices.len() == count, "{} Devices", devices.len());
    for device in &devices {
        let name = device["metadata"]["name"].as_str().unwrap_or_default();
        let instances = device["status"]["instances"].as_array().context("no instances")?;
        let mut epochs = BTreeSet::new();
        for instance in instances {
            let id = instance["id"].as_str().unwrap_or_default();
            let (epoch, highest) = in_history
                .get(&(name, id))
                .context("an instance that sent nothing")?;
            ensure!(
                instance["epoch"] == *epoch,
                "{name}: {instance} is epoch {epoch} in history"
            );
            ensure!(
                instance["highestSequence"].as_u64().unwrap_or(0) <= *highest,
                "{name}: {instance}"
            );
            epochs.insert(*epoch);
        }
        ensure!(epochs == BTreeSet::from([1, 2]), "{name}: epochs {epochs:?}");
    }
    Ok(())
}
