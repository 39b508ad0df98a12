//! What the store asks of the API server, counted there.

use anyhow::Result;
use apollo_gateway::store::{Change, Store};
use apollo_gateway_core::store::{Freshness, StoreReply, StoreRequest};
use apollo_tests::harness::kube::Kind;
use serde_json::{Value, json};

use crate::{
    cluster::Cluster,
    store_contract::{PATIENCE, Replicas, bound, process_yaml, seen, write},
    store_values::{device, process},
};

async fn synced(store: &impl Store) -> tokio::sync::mpsc::Receiver<Change> {
    let mut changes = store.watch();
    loop {
        let change = tokio::time::timeout(PATIENCE, changes.recv()).await;
        match change.expect("in time").expect("goes on") {
            Change::Synced => return changes,
            _ => continue,
        }
    }
}

/// Once everything was told, first reads cost nothing; a write is one PATCH, of what differs alone; the same again is
/// nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_reads_ask_nothing_and_a_write_is_one_patch_of_what_differs() -> Result<()> {
    let Some(cluster) = Cluster::start("kube_store requests").await? else {
        return Ok(());
    };
    cluster.apply(&process_yaml("p", "buoy", "true")).await;
    let store = cluster.first();
    let _changes = synced(store).await;
    let mark = cluster.api.audit_mark()?;
    let cached = StoreRequest::ReadProcesses {
        device: device("buoy"),
        named: vec![process("p"), process("missing")],
        freshness: Freshness::Cached,
    };
    let StoreReply::Processes(read) = store.execute(cached.clone()).await else {
        panic!("the cache is complete");
    };
    assert_eq!(read.len(), 1);
    write(store, seen(&read[0], 1)).await;
    // The answer is in the cache: the next write is computed from it without a read.
    let StoreReply::Processes(read) = store.execute(cached).await else {
        panic!("the cache is complete");
    };
    assert_eq!(read[0].object.status.restarts, Some(1));
    write(store, seen(&read[0], 2)).await;
    let asked: Vec<String> = cluster
        .api
        .audit_since(mark)?
        .into_iter()
        .filter(|entry| entry.verb != "watch")
        .map(|entry| format!("{} {}/{}", entry.verb, entry.resource, entry.subresource))
        .collect();
    assert_eq!(
        asked,
        ["patch deviceprocesses/status", "patch deviceprocesses/status"]
    );
    let managed = &cluster
        .api
        .client()
        .get(Kind::DEVICE_PROCESSES.within("default"), "p")?["metadata"];
    let managers: Vec<&Value> = managed["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| &entry["manager"])
        .collect();
    assert!(managers.contains(&&json!("apollo-gateway")), "{managers:?}");
    Ok(())
}

/// What another controller wrote into its condition stays to the letter, and stays its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_of_another_stays_to_the_letter_and_is_owned_by_who_wrote_it() -> Result<()> {
    let Some(cluster) = Cluster::start("kube_store conditions").await? else {
        return Ok(());
    };
    cluster.apply(&process_yaml("p", "buoy", "true")).await;
    cluster.put_condition_of_another(&process("p"), "Audited").await;
    let read = bound(cluster.first(), "buoy", &[]).await.remove(0);
    write(cluster.first(), seen(&read, 1)).await;
    let object = cluster
        .api
        .client()
        .get(Kind::DEVICE_PROCESSES.within("default"), "p")?;
    let conditions = object["status"]["conditions"].as_array().expect("a list");
    assert_eq!(conditions[0], json!({"type": "Audited", "status": "True"}));
    assert_eq!(conditions[1]["type"], "AgentConnected");
    // Its owner may go on applying it: nothing of it has become ours.
    cluster.put_condition_of_another(&process("p"), "Audited").await;
    Ok(())
}
