//! Rows of the gateway's embedded store: damaged by a failing disk, or by somebody with `sqlite3`.

use std::cell::{OnceCell, RefCell};

use apollo_gateway::{
    manifest::Kind,
    store::{
        Store,
        embedded::{EmbeddedReader, EmbeddedStore, Missing, ObjectFilter, ObservationFilter, StoreError},
    },
};
use apollo_gateway_core::store::{Freshness, StoreReply, StoreRequest};
use arbitrary::{Result, Unstructured};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::stored_cells::{
    Cell::{Blob, Integer, Null, Text},
    Column, commit, insert,
};

/// Most rows in one run.
const ROWS_MAX: usize = 5;

const DEVICE_STATUS: &str = r#"{"state":"Connected","lastHeartbeatTime":"2026-11-23T10:00:00.000Z","instances":[{"id":"0192f7c4-8a11-7d3b-9c5e-426fa0d81733","epoch":1,"highestSequence":17}],"queue":{"pending":1,"dropped":0},"clockSkewMs":-12}"#;
const PROCESS_STATUS: &str = r#"{"state":"Running","observedSpecHash":"9f86d081884c7d65","pid":4242,"sync":{"epoch":1,"sequence":17},"observedDevice":"buoy-17","conditions":[{"type":"AgentConnected","status":"True","reason":"AgentConnected","message":"agent connected","lastTransitionTime":"2026-11-23T10:00:00Z"}]}"#;
const OBJECT: &[Column] = &[
    ("kind", &[Text("Device"), Text("DeviceProcess")]),
    ("namespace", &[Text(""), Text("default")]),
    ("name", &[Text("buoy-17"), Text("collector")]),
    ("device", &[Null, Text("buoy-17")]),
    ("uid", &[Text("4b1c9b5e-0d0a-4a52-8c3a-8a6d5a4f0a11")]),
    ("resource_version", &[Integer(1), Integer(2), Integer(3)]),
    ("generation", &[Integer(1)]),
    ("created_at_ms", &[Integer(1_795_428_000_000)]),
    ("deleted_at_ms", &[Null]),
    ("labels_json", &[Text("{}"), Text(r#"{"a":"b"}"#)]),
    ("annotations_json", &[Text("{}")]),
    (
        "spec_json",
        &[
            Text("{}"),
            Text(r#"{"blocked":true,"staleAfter":"90s"}"#),
            Text(r#"{"command":["true"],"deviceRef":{"name":"buoy-17"}}"#),
        ],
    ),
    (
        "status_json",
        &[Text("{}"), Text(DEVICE_STATUS), Text(PROCESS_STATUS)],
    ),
];
const INSTANCE: &[Column] = &[
    ("id", &[Integer(1)]),
    ("device", &[Text("buoy-17")]),
    ("instance", &[Text("0192f7c4-8a11-7d3b-9c5e-426fa0d81733")]),
    ("epoch", &[Integer(1)]),
];
const PROCESS: &[Column] = &[("id", &[Integer(1)]), ("process", &[Text("default/collector")])];
const HISTORY: &[Column] = &[
    ("instance_id", &[Integer(1)]),
    ("sequence", &[Integer(1), Integer(17)]),
    ("process_id", &[Integer(1)]),
    ("observed_at_ms", &[Integer(1_795_428_000_000)]),
    ("corrected_at_ms", &[Null, Integer(1_795_428_000_000)]),
    ("received_at_ms", &[Integer(1_795_428_000_000)]),
    ("clock", &[Integer(0), Integer(2)]),
    ("state", &[Null, Integer(1)]),
    ("spec_hash", &[Null, Blob(&[1, 2, 3, 4, 5, 6, 7, 8])]),
    ("pid", &[Null, Integer(4242)]),
    ("exit_code", &[Null, Integer(-6)]),
    ("restarts", &[Null, Integer(3)]),
    ("reason", &[Text("Started")]),
    ("message", &[Text("")]),
    ("values_json", &[Null, Text(r#"{"rss_kib":5321}"#)]),
    ("orphaned", &[Integer(0), Integer(1)]),
];

/// A store, a reader beside it, and a connection of somebody else to its file.
struct Database {
    store: EmbeddedStore,
    reader: EmbeddedReader,
    vandal: Connection,
    runtime: Runtime,
    _directory: TempDir,
}

thread_local! {
    static DATABASE: OnceCell<RefCell<Database>> = const { OnceCell::new() };
}

/// Rows of any content. No call panics; what cannot be read names the object or the field; and the store goes on.
pub fn gateway_rows(bytes: &[u8]) {
    DATABASE.with(|database| {
        let database = database.get_or_init(|| Database::make().into());
        let database = &mut *database.borrow_mut();
        database.reset();
        if database.fill(&mut Unstructured::new(bytes)).is_ok() {
            database.read_as_people_do();
            database.read_as_an_exchange_does();
        }
    });
}

impl Database {
    fn make() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let path = directory.path().join("gateway.db");
        let store = EmbeddedStore::open(&path, Missing::Create).expect("a fresh store");
        let reader = EmbeddedReader::open(&path).expect("the store is there");
        let vandal = Connection::open(&path).expect("the file is there");
        // Its own writes need not survive a power cut.
        vandal
            .pragma_update(None, "synchronous", "OFF")
            .expect("a setting");
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        Self {
            store,
            reader,
            vandal,
            runtime: runtime.expect("a runtime"),
            _directory: directory,
        }
    }

    fn reset(&self) {
        let sql = "BEGIN IMMEDIATE; DELETE FROM objects; DELETE FROM history; DELETE FROM history_gaps;
            DELETE FROM instances; DELETE FROM history_processes; COMMIT;";
        self.vandal.execute_batch(sql).expect("the tables are there");
    }

    fn fill(&self, source: &mut Unstructured<'_>) -> Result<()> {
        let tables: [(&str, &[Column]); 4] = [
            ("objects", OBJECT),
            ("instances", INSTANCE),
            ("history_processes", PROCESS),
            ("history", HISTORY),
        ];
        self.vandal
            .execute_batch("BEGIN IMMEDIATE")
            .expect("nobody else writes");
        let mut inserted = Ok(());
        for _ in 0..ROWS_MAX {
            inserted = source
                .choose(&tables)
                .copied()
                .and_then(|(table, columns)| insert(&self.vandal, table, columns, source));
            if inserted.is_err() || source.is_empty() {
                break;
            }
        }
        commit(&self.vandal);
        inserted
    }

    fn read_as_people_do(&self) {
        for kind in [Kind::Device, Kind::DeviceProcess] {
            let read = self.reader.each_object(kind, &ObjectFilter::default(), |record| {
                assert_eq!(record.key.kind, kind);
                let _ = (
                    record.labels()?,
                    record.annotations()?,
                    record.spec()?,
                    record.status()?,
                );
                Ok::<(), StoreError>(())
            });
            check_refusal(read.err());
        }
        let read = self
            .reader
            .each_observation(&ObservationFilter::default(), |observation| {
                let _ = observation.values();
                serde_json::to_string(&observation).expect("an observation has a JSON form");
                Ok::<(), StoreError>(())
            });
        check_refusal(read.err());
    }

    fn read_as_an_exchange_does(&self) {
        let device: apollo_wire::DeviceName = "buoy-17".parse().expect("a name");
        let instance = "0192f7c4-8a11-7d3b-9c5e-426fa0d81733".parse().expect("a UUID");
        let requests = [
            StoreRequest::ReadDevice {
                device: device.clone(),
                freshness: Freshness::Authoritative,
            },
            StoreRequest::ReadProcesses {
                device: device.clone(),
                named: vec!["default/collector".parse().expect("a name")],
                freshness: Freshness::Authoritative,
            },
            StoreRequest::ReadHighest {
                device: device.clone(),
                instance,
            },
            StoreRequest::ReadSettled {
                device,
                instance,
                sequences: vec![1, 17],
            },
        ];
        for request in requests {
            let shown = format!("{request:?}");
            let reply = self.runtime.block_on(self.store.execute(request));
            if let StoreReply::Highest(highest) = &reply {
                assert!(*highest <= apollo_wire::limits::SEQUENCE_MAX, "{shown}");
            }
            let unavailable = matches!(reply, StoreReply::Unavailable { retry_after: Some(_) });
            assert!(!unavailable, "a damaged row is not a busy store: {shown}");
        }
    }
}

fn check_refusal(error: Option<StoreError>) {
    if let Some(StoreError::Damaged { object, detail }) = error {
        assert!(!object.is_empty() && !detail.is_empty());
    }
}
