//! Objects of the embedded store: what `apply` changes (G-09), and how soon and how long watches tell of it (G-05, G-11).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::{path::Path, time::Duration};

use apollo_gateway::{
    manifest::{Kind, Manifest, ObjectKey, check_object},
    store::{
        Change, Store,
        embedded::{Applied, EmbeddedStore, Missing},
    },
};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

fn object(name: &str) -> Value {
    json!({
        "apiVersion": "apollo.azure.com/v1alpha1",
        "kind": "DeviceProcess",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"deviceRef": {"name": "buoy"}, "command": ["true"]},
    })
}

fn manifest(object: &Value) -> Manifest {
    check_object(object, None).unwrap()
}

fn process(name: &str) -> Manifest {
    manifest(&object(name))
}

fn key(name: &str) -> ObjectKey {
    ObjectKey {
        kind: Kind::DeviceProcess,
        namespace: "default".to_owned(),
        name: name.to_owned(),
    }
}

/// resourceVersion and generation of the process `p`.
fn version(path: &Path) -> (i64, i64) {
    let sql = "SELECT resource_version, generation FROM objects WHERE name = 'p'";
    let connection = Connection::open(path).unwrap();
    connection
        .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
}

#[tokio::test]
async fn g09_the_generation_grows_with_the_spec_alone_and_nothing_unchanged_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let store = EmbeddedStore::open(&path, Missing::Create).unwrap();
    let apply = async |object: &Value| {
        let done = store.apply(vec![manifest(object)]).await.unwrap();
        (done[0], version(&path))
    };
    let mut written = object("p");
    assert_eq!(apply(&written).await, (Applied::Created, (1, 1)));
    // The same again; the same in another order; a status, which is not read.
    let mut same =
        json!({"spec": {"command": ["true"], "deviceRef": {"name": "buoy"}}, "status": {"pid": 7}});
    for key in ["kind", "metadata", "apiVersion"] {
        same[key] = written[key].clone();
    }
    for object in [&written, &same] {
        assert_eq!(apply(object).await, (Applied::Unchanged, (1, 1)));
    }
    written["metadata"]["labels"] = json!({"site": "north"});
    assert_eq!(apply(&written).await, (Applied::Configured, (2, 1)));
    // A default that is written out is another text, and so another spec.
    written["spec"]["suspend"] = json!(false);
    assert_eq!(apply(&written).await, (Applied::Configured, (3, 2)));
}

/// The next change of a watch that goes on.
async fn next(watch: &mut mpsc::Receiver<Change>) -> Option<Change> {
    tokio::time::timeout(PATIENCE, watch.recv())
        .await
        .expect("in time")
}

async fn synced(watch: &mut mpsc::Receiver<Change>) {
    while !matches!(next(watch).await.expect("goes on"), Change::Synced) {}
}

/// A second handle has connections and threads of its own: to the first one it is another process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g05_what_another_process_changes_is_told_within_the_interval() {
    const CHANGES: u32 = 20;
    /// Five times what they take at 50 ms each, for machines with other work.
    const WITHIN: Duration = Duration::from_secs(5);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let watching = EmbeddedStore::open(&path, Missing::Create).unwrap();
    let other = EmbeddedStore::open(&path, Missing::Refuse).unwrap();
    let mut watch = watching.watch();
    synced(&mut watch).await;
    let told = async {
        for number in 0..CHANGES {
            let name = format!("p{number}");
            other.apply(vec![process(&name)]).await.unwrap();
            let Some(Change::Process(told)) = next(&mut watch).await else {
                panic!("told of something else");
            };
            assert_eq!(told.object.process.name(), name);
        }
    };
    tokio::time::timeout(WITHIN, told).await.expect("told in time");
}

/// What a watch that did not run for a day has missed cannot be told any more: it ends instead of being wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g11_a_watch_that_is_behind_the_last_tombstones_ends() {
    /// More than the watch has in its channel (256) and in its hands (256): it stops in the middle.
    const BEHIND: usize = 600;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let store = EmbeddedStore::open(&path, Missing::Create).unwrap();
    let mut watch = store.watch();
    synced(&mut watch).await;
    let all = (0..BEHIND).map(|number| process(&format!("p{number}"))).collect();
    store.apply(all).await.unwrap();
    store.delete(key("p1")).await.unwrap();
    // The tombstone grows old.
    Connection::open(&path)
        .unwrap()
        .execute_batch("UPDATE objects SET deleted_at_ms = 1 WHERE deleted_at_ms IS NOT NULL")
        .unwrap();
    // The next deletion removes it.
    store.delete(key("p2")).await.unwrap();
    let mut told = 0;
    while let Some(change) = next(&mut watch).await {
        assert!(matches!(change, Change::Process(_)), "{change:?}");
        told += 1;
    }
    assert!(
        told < BEHIND,
        "the watch ended before the changes it cannot tell in full"
    );
}
