//! The embedded store when its file does not do as asked: nothing of a failed step stays (G-02, G-08), and what cannot be
//! done now is answered, not kept (G-07).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod store_values;

use std::path::Path;

use apollo_gateway::{
    manifest::{Manifest, check_object},
    store::{
        Store,
        embedded::{EmbeddedStore, Missing},
    },
};
use apollo_gateway_core::store::{Freshness, StoreReply, StoreRequest};
use rusqlite::Connection;
use store_values::{append, device, row};

fn manifest(name: &str) -> Manifest {
    let object = serde_json::json!({
        "apiVersion": "apollo.azure.com/v1alpha1",
        "kind": "DeviceProcess",
        "metadata": {"name": name},
        "spec": {"deviceRef": {"name": "buoy"}, "command": ["true"]},
    });
    check_object(&object, None).unwrap()
}

async fn stored_processes(store: &EmbeddedStore) -> usize {
    let request = StoreRequest::ReadProcesses {
        device: device("buoy"),
        named: vec![],
        freshness: Freshness::Authoritative,
    };
    match store.execute(request).await {
        StoreReply::Processes(found) => found.len(),
        other => panic!("{other:?}"),
    }
}

/// Makes the database refuse an insert in the middle of a step, as a disk that is full does.
fn refuse_inserts(path: &Path, table: &str, when: &str) {
    let trigger = format!(
        "CREATE TRIGGER refused BEFORE INSERT ON {table} WHEN {when} BEGIN SELECT RAISE(FAIL, 'no space'); END"
    );
    Connection::open(path).unwrap().execute_batch(&trigger).unwrap();
}

fn accept_inserts(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("DROP TRIGGER refused").unwrap();
}

#[tokio::test]
async fn g08_an_apply_that_fails_at_its_last_object_writes_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let store = EmbeddedStore::open(&path, Missing::Create).unwrap();
    refuse_inserts(&path, "objects", "NEW.name = 'c'");
    let all = || ["a", "b", "c"].map(manifest).to_vec();
    assert!(store.apply(all()).await.is_err());
    assert_eq!(stored_processes(&store).await, 0);
    accept_inserts(&path);
    store.apply(all()).await.unwrap();
    assert_eq!(stored_processes(&store).await, 3);
}

#[tokio::test]
async fn g02_g07_an_append_that_fails_in_the_middle_is_unavailable_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let store = EmbeddedStore::open(&path, Missing::Create).unwrap();
    refuse_inserts(&path, "history", "NEW.sequence = 3");
    let rows = || (1..=5).map(row).collect();
    let reply = store.execute(append("buoy", 1, rows())).await;
    assert!(matches!(reply, StoreReply::Unavailable { .. }), "{reply:?}");
    accept_inserts(&path);
    let reply = store.execute(append("buoy", 1, rows())).await;
    let StoreReply::HistoryAppended { new, .. } = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(new, [true; 5], "nothing of the failed step was there");
}

/// Somebody else holds the file. As many steps wait as may, the others are answered at once, and those that waited
/// are done when the file is free again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g07_steps_beyond_the_bound_of_the_queue_are_unavailable_at_once() {
    /// More than the writer's queue (256) and one group in its hands (64).
    const STEPS: u16 = 400;
    /// Refused of these: 400 - 256 - 64 at least, 400 - 256 at most.
    const REFUSED: std::ops::RangeInclusive<usize> = 80..=144;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let store = EmbeddedStore::open(&path, Missing::Create).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (replies, mut answered) = tokio::sync::mpsc::channel(usize::from(STEPS));
    for seq in 1..=STEPS {
        let (store, replies) = (store.clone(), replies.clone());
        tokio::spawn(async move {
            let reply = store.execute(append("buoy", 1, vec![row(u64::from(seq))])).await;
            replies.send(reply).await.unwrap();
        });
    }
    let mut refused = 0;
    while refused < *REFUSED.start() {
        let reply = answered.recv().await.unwrap();
        assert!(matches!(reply, StoreReply::Unavailable { .. }), "{reply:?}");
        refused += 1;
    }
    other.execute_batch("ROLLBACK").unwrap();
    drop(replies);
    while let Some(reply) = answered.recv().await {
        match reply {
            StoreReply::Unavailable { .. } => refused += 1,
            StoreReply::HistoryAppended { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(REFUSED.contains(&refused), "{refused} refused");
}
