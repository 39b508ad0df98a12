//! One damaged object hides no other, and is no failure of the store (G-05); gap records that grew are one (G-04).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod store_values;

use std::{path::PathBuf, time::Duration};

use apollo_gateway::{
    manifest::{check_object, documents},
    store::{
        Change, Store,
        embedded::{EmbeddedStore, Missing},
    },
};
use apollo_gateway_core::store::{Freshness, StoreReply, StoreRequest};
use apollo_wire::{Gap, GapReason};
use rusqlite::Connection;
use store_values::{append, device, process, row};

const PATIENCE: Duration = Duration::from_secs(60);

struct Scratch {
    path: PathBuf,
    store: EmbeddedStore,
    _directory: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.db");
        let store = EmbeddedStore::open(&path, Missing::Create).unwrap();
        Self {
            path,
            store,
            _directory: directory,
        }
    }

    async fn apply(&self, names: &[&str]) {
        let yaml = |name: &&str| {
            format!(
                "apiVersion: apollo.azure.com/v1alpha1\nkind: DeviceProcess\nmetadata: {{name: {name}}}\n\
                 spec: {{deviceRef: {{name: buoy}}, command: [\"true\"]}}\n---\n"
            )
        };
        let text: String = names.iter().map(yaml).collect();
        let found = documents("test", &text).unwrap();
        let manifests = found
            .iter()
            .map(|found| check_object(&found.value, None).unwrap());
        self.store.apply(manifests.collect()).await.unwrap();
    }

    fn sql(&self, sql: &str) {
        Connection::open(&self.path).unwrap().execute_batch(sql).unwrap();
    }
}

#[tokio::test]
async fn a_watch_leaves_out_a_damaged_object_and_tells_the_others() {
    for damage in ["kind = 'Unheard'", "spec_json = 'x'"] {
        let scratch = Scratch::new();
        scratch.apply(&["a", "b", "c"]).await;
        scratch.sql(&format!("UPDATE objects SET {damage} WHERE name = 'b'"));
        let mut watch = scratch.store.watch();
        let mut told = Vec::new();
        loop {
            match tokio::time::timeout(PATIENCE, watch.recv()).await {
                Ok(Some(Change::Process(read))) => told.push(read.object.process.name().to_owned()),
                Ok(Some(Change::Synced)) => break,
                other => panic!("{damage}: {other:?}"),
            }
        }
        assert_eq!(told, ["a", "c"], "{damage}");
    }
}

#[tokio::test]
async fn a_damaged_object_does_not_make_the_store_count_as_failing() {
    let scratch = Scratch::new();
    scratch.apply(&["a"]).await;
    scratch.sql("UPDATE objects SET status_json = 'x'");
    let request = StoreRequest::ReadProcesses {
        device: device("buoy"),
        named: vec![process("a")],
        freshness: Freshness::Authoritative,
    };
    let reply = scratch.store.execute(request).await;
    assert!(matches!(reply, StoreReply::Unavailable { .. }), "{reply:?}");
    assert!(scratch.store.is_working());
}

#[tokio::test]
async fn r09_a_gap_record_that_grew_while_its_reply_was_lost_is_one() {
    let scratch = Scratch::new();
    let gap = |last, reason| Gap {
        first: 3,
        last,
        reason,
    };
    // Purged came for another row of the same beginning; the late copy of the short one comes last.
    for found in [
        gap(9, GapReason::QueueFull),
        gap(12, GapReason::QueueFull),
        gap(5, GapReason::Purged),
        gap(9, GapReason::QueueFull),
    ] {
        let mut request = append("buoy", 1, vec![row(1)]);
        if let StoreRequest::AppendHistory { gaps, .. } = &mut request {
            *gaps = vec![found];
        }
        let reply = scratch.store.execute(request).await;
        assert!(matches!(reply, StoreReply::HistoryAppended { .. }), "{reply:?}");
    }
    let connection = Connection::open(&scratch.path).unwrap();
    let mut statement = connection
        .prepare("SELECT first, last, reason FROM gaps ORDER BY last")
        .unwrap();
    let read = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let gaps: Vec<(i64, i64, String)> = read.unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(
        gaps,
        [(3, 5, "Purged".to_owned()), (3, 12, "QueueFull".to_owned())]
    );
}
