//! The embedded store's file: what is refused at opening, the stable views, the frozen schema, and
//! reads that do not slow down with what others have stored.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod store_values;

use std::{path::Path, time::Instant};

use apollo_gateway::{
    manifest::check_object,
    store::{
        Store,
        embedded::{EmbeddedReader, EmbeddedStore, Missing, ObservationFilter, StoreError},
    },
};
use apollo_gateway_core::store::{Freshness, StoreReply, StoreRequest};
use apollo_wire::{ProcessState, UnixMillis, Value};
use rusqlite::Connection;
use store_values::{append, device, row};

fn refusal(path: &Path) -> String {
    EmbeddedStore::open(path, Missing::Create)
        .map(drop)
        .unwrap_err()
        .to_string()
}

#[test]
fn what_is_not_a_store_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    assert!(refusal(&directory.path().join("no/x.db")).contains("does not exist"));
    assert!(refusal(directory.path()).contains("cannot be opened"));
    std::fs::write(
        &path,
        "this is a text, not a database, and long enough to be looked at as one".repeat(20),
    )
    .unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(refusal(&path).contains("cannot be opened"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let foreign = directory.path().join("foreign.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE t (a)")
        .unwrap();
    assert!(refusal(&foreign).contains("another program's database"));
    assert!(
        matches!(EmbeddedStore::open(&directory.path().join("none.db"), Missing::Refuse), Err(error)
        if error.to_string().contains("no such file"))
    );
}

#[test]
fn a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    drop(EmbeddedStore::open(&path, Missing::Create).unwrap());
    Connection::open(&path)
        .unwrap()
        .execute_batch("PRAGMA user_version = 2")
        .unwrap();
    assert!(
        refusal(&path).contains("schema version 2 is newer than this program's 1"),
        "{}",
        refusal(&path)
    );
}

#[test]
fn several_processes_may_create_the_file_at_once() {
    // Whether they meet in the middle of it is up to the scheduler: with this many attempts they do.
    for _ in 0..30 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            let open = || {
                start.wait();
                EmbeddedStore::open(&path, Missing::Create).map(drop)
            };
            let opened: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            for opened in opened {
                opened.join().unwrap().unwrap();
            }
        });
    }
}

/// The schema as `sqlite3 .schema` would show it.
fn schema(connection: &Connection) -> String {
    let mut statement = connection
        .prepare("SELECT sql || ';' FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")
        .unwrap();
    let lines: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    lines.join("\n") + "\n"
}

#[test]
fn the_schema_is_the_frozen_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    drop(EmbeddedStore::open(&path, Missing::Create).unwrap());
    let made = schema(&Connection::open(&path).unwrap());
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/sqlite/gateway-v1.sql");
    if std::env::var_os("APOLLO_WRITE_FIXTURES").is_some() && !frozen.exists() {
        let pragmas = "PRAGMA application_id = 1097887591;\nPRAGMA user_version = 1;\n";
        std::fs::write(
            &frozen,
            format!("{pragmas}{made}INSERT INTO revision VALUES (1, 0, 0);\n"),
        )
        .unwrap();
    }
    let text = std::fs::read_to_string(&frozen).unwrap();
    let old = directory.path().join("old.db");
    Connection::open(&old).unwrap().execute_batch(&text).unwrap();
    assert_eq!(schema(&Connection::open(&old).unwrap()), made);
    drop(EmbeddedStore::open(&old, Missing::Refuse).unwrap());
}

#[tokio::test]
async fn the_views_show_exact_times_and_every_field() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let store = EmbeddedStore::open(&path, Missing::Create).unwrap();
    let times = [
        UnixMillis::MIN.get(),
        -1,
        0,
        1,
        999,
        59_999,
        1_700_000_000_001,
        1_763_460_401_194,
        UnixMillis::MAX.get(),
    ];
    let mut rows = Vec::new();
    for (seq, time) in (1..).zip(times) {
        let mut row = row(seq);
        row.observation.observed_at = UnixMillis::new(time).unwrap();
        row.corrected_at = Some(row.observation.observed_at);
        row.observation.state = Some(ProcessState::Backoff);
        row.observation.spec_hash = Some("00ffee0011223344".parse().unwrap());
        row.observation
            .values
            .insert("rss".to_owned(), Value::new(1.5).unwrap());
        rows.push(row);
    }
    store.execute(append("buoy", 1, rows)).await;
    let connection = Connection::open(&path).unwrap();
    for (seq, time) in (1_i64..).zip(times) {
        let text: (String, String) = connection
            .query_row(
                "SELECT observed_at, corrected_at FROM observations WHERE seq = ?1",
                [seq],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        let expected = UnixMillis::new(time).unwrap().to_string();
        assert_eq!(text, (expected.clone(), expected));
    }
    let columns = "device, epoch, instance, seq, process, observed_at, corrected_at, received_at, clock, state, \
                   spec_hash, reason, message, values_json, orphaned";
    let shown: (String, String, String) = connection
        .query_row(
            &format!("SELECT {columns} FROM observations LIMIT 1"),
            [],
            |row| Ok((row.get("state")?, row.get("spec_hash")?, row.get("values_json")?)),
        )
        .unwrap();
    assert_eq!(
        shown,
        (
            "Backoff".to_owned(),
            "00ffee0011223344".to_owned(),
            r#"{"rss":1.5}"#.to_owned()
        )
    );
    let gap: (i64, i64, String) = connection
        .query_row("SELECT first, last, reason FROM gaps", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(gap, (1, 2, "QueueFull".to_owned()));
    for view in ["devices", "device_processes"] {
        connection.prepare(&format!("SELECT * FROM {view}")).unwrap();
    }
}

#[tokio::test]
async fn history_reads_back_sorted_field_by_field() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let store = EmbeddedStore::open(&path, Missing::Create).unwrap();
    store.execute(append("truck", 1, vec![row(2)])).await;
    store.execute(append("buoy", 2, vec![row(1)])).await;
    store.execute(append("buoy", 1, vec![row(9), row(4)])).await;
    let reader = EmbeddedReader::open(&path).unwrap();
    let read = |filter: ObservationFilter| {
        let mut found = Vec::new();
        let sink = |observation: apollo_gateway::store::embedded::ObservationRecord| {
            found.push((observation.device.clone(), observation.epoch, observation.seq));
            Ok::<_, StoreError>(())
        };
        reader.each_observation(&filter, sink).unwrap();
        found
    };
    let owned = |device: &str, epoch, seq| (device.to_owned(), epoch, seq);
    let all = [
        owned("buoy", 1, 4),
        owned("buoy", 1, 9),
        owned("buoy", 2, 1),
        owned("truck", 1, 2),
    ];
    assert_eq!(read(ObservationFilter::default()), all);
    assert_eq!(
        read(ObservationFilter {
            device: Some(device("truck")),
            ..Default::default()
        }),
        all[3..]
    );
    assert_eq!(
        read(ObservationFilter {
            name: Some("p".to_owned()),
            ..Default::default()
        }),
        all
    );
    assert_eq!(
        read(ObservationFilter {
            namespace: Some("defaul".to_owned()),
            ..Default::default()
        }),
        []
    );
}

/// Finding 6 at the store: the processes of one device cost the same beside ten and beside 100,000 others. What is
/// compared is the median of many reads, with a wide margin: a scan would be some thousand times slower.
#[tokio::test]
async fn reading_one_devices_processes_does_not_depend_on_the_number_of_others() {
    let directory = tempfile::tempdir().unwrap();
    let mut medians = Vec::new();
    for others in [10, 20_000] {
        let path = directory.path().join(format!("{others}.db"));
        let store = EmbeddedStore::open(&path, Missing::Create).unwrap();
        let manifests = (0..others).map(|number| {
            let object = serde_json::json!({
                "apiVersion": "apollo.azure.com/v1alpha1",
                "kind": "DeviceProcess",
                "metadata": {"name": format!("p{number}")},
                "spec": {"deviceRef": {"name": format!("d{number}")}, "command": ["true"]},
            });
            check_object(&object, None).unwrap()
        });
        store.apply(manifests.collect()).await.unwrap();
        let mut times = Vec::new();
        for _ in 0..101 {
            let request = StoreRequest::ReadProcesses {
                device: device("d7"),
                named: vec![],
                freshness: Freshness::Authoritative,
            };
            let begun = Instant::now();
            assert!(matches!(store.execute(request).await, StoreReply::Processes(found) if found.len() == 1));
            times.push(begun.elapsed());
        }
        times.sort();
        medians.push(times[50]);
    }
    assert!(medians[1] < medians[0] * 20, "{medians:?}");
}
