//! A watch through the API server's restarts, and one that is cut off for good.

use std::time::Duration;

use anyhow::Result;
use apollo_gateway::store::{Change, Store};
use apollo_tests::harness::kube::Part;
use nix::sys::signal::Signal;
use tokio::sync::mpsc;

use crate::{
    cluster::Cluster,
    store_contract::{PATIENCE, Replicas, process_yaml},
};

/// Longer than a watch may fail before it is given up.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(40);

async fn next(changes: &mut mpsc::Receiver<Change>) -> Option<Change> {
    tokio::time::timeout(PATIENCE, changes.recv())
        .await
        .expect("in time")
}

async fn told_of(changes: &mut mpsc::Receiver<Change>, name: &str) {
    loop {
        match next(changes).await.expect("the watch goes on") {
            Change::Process(process) if process.object.process.name() == name => return,
            _ => {}
        }
    }
}

/// A short restart is bridged: the watch goes on and tells what changed after it, whether it could resume or had to list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_after_the_api_server_was_restarted() -> Result<()> {
    let Some(cluster) = Cluster::start("kube_store restart").await? else {
        return Ok(());
    };
    cluster.apply(&process_yaml("before", "buoy", "true")).await;
    let mut changes = cluster.first().watch();
    told_of(&mut changes, "before").await;
    cluster.api.stop(Part::ApiServer, Signal::SIGKILL)?;
    cluster.api.start_part(Part::ApiServer)?;
    cluster.api.await_ready()?;
    cluster.apply(&process_yaml("after", "buoy", "true")).await;
    told_of(&mut changes, "after").await;
    Ok(())
}

/// An outage ends the watch: what it told may no longer be true, and whoever serves it must know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_cannot_be_resumed_ends_and_a_new_one_tells_everything() -> Result<()> {
    let Some(cluster) = Cluster::start("kube_store outage").await? else {
        return Ok(());
    };
    cluster.apply(&process_yaml("p", "buoy", "true")).await;
    let mut changes = cluster.first().watch();
    while !matches!(next(&mut changes).await, Some(Change::Synced)) {}
    cluster.api.stop(Part::ApiServer, Signal::SIGKILL)?;
    let ended = async { while changes.recv().await.is_some() {} };
    tokio::time::timeout(GIVEN_UP_WITHIN, ended).await?;
    assert!(cluster.first().problem().is_some(), "the reason is known");
    cluster.api.start_part(Part::ApiServer)?;
    let mut changes = cluster.first().watch();
    told_of(&mut changes, "p").await;
    while !matches!(next(&mut changes).await, Some(Change::Synced)) {}
    Ok(())
}
