//! Rows of the agent's database: damaged by a failing disk, or by somebody with `sqlite3`.

use std::cell::OnceCell;

use apollo_agent::queue::{DATABASE_FILE, ExportFormat, Queue, QueueLimits};
use apollo_wire::{Report, SequenceRange, UnixMillis, Verdicts, binary};
use arbitrary::{Result, Unstructured};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::stored_cells::{
    Cell::{Blob, Integer, Null, Text},
    Column, commit, insert,
};

/// Most rows in one run.
const ROWS_MAX: usize = 6;
/// Rows and bytes of a batch, as the agent asks for them.
const BATCH: (usize, usize) = (1000, 256 * 1024);
/// The boot of these runs.
const BOOT: &str = "0c5b7f5e-3c5e-4c39-9f0c-3a1f0f3b2a11";

const OBSERVATION: &[Column] = &[
    ("seq", &[Null, Integer(1), Integer(2), Integer(3), Integer(17)]),
    ("bytes", &[Integer(60)]),
    ("process", &[Text("default/collector"), Text("default/a")]),
    ("observed_at_ms", &[Integer(1_795_428_000_000), Integer(0)]),
    ("clock", &[Text("synced"), Text("unsynced"), Text("unknown")]),
    ("boot", &[Integer(1), Integer(2)]),
    ("uptime_ms", &[Integer(7)]),
    ("state", &[Null, Text("Running"), Text("Failed")]),
    ("spec_hash", &[Null, Text("9f86d081884c7d65")]),
    ("pid", &[Null, Integer(4242)]),
    ("exit_code", &[Null, Integer(-6)]),
    ("restarts", &[Null, Integer(3)]),
    ("reason", &[Text(""), Text("Started")]),
    ("message", &[Text(""), Text("exit code 134 after 07.50 s")]),
    ("values_json", &[Null, Text(r#"{"rss_kib":5321,"load":0.25}"#)]),
];
const REFUSAL: [Column; 3] = [
    ("rejected_at_ms", &[Integer(1_795_428_000_000)]),
    ("rejection", &[Text("NotBound"), Text("Malformed")]),
    ("detail", &[Text("")]),
];
const GAP: &[Column] = &[
    ("first", &[Integer(4), Integer(30)]),
    ("last", &[Integer(9), Integer(30)]),
    ("reason", &[Text("QueueFull"), Text("Purged"), Text("Corrupt")]),
    ("created_at_ms", &[Integer(1_795_428_000_000)]),
];
const FAILED_ATTEMPT: &[Column] = &[
    ("first", &[Integer(1)]),
    ("last", &[Integer(3)]),
    ("count", &[Integer(2)]),
];
const QUEUE_HEAD: &[Column] = &[
    ("id", &[Integer(1)]),
    ("instance", &[Text("0192f7c4-8a11-7d3b-9c5e-426fa0d81733")]),
    ("created_at_ms", &[Integer(1_795_428_000_000)]),
    ("pending_rows", &[Integer(0), Integer(3)]),
    ("pending_bytes", &[Integer(0), Integer(180)]),
    ("offered_through", &[Integer(0), Integer(3)]),
    ("dropped", &[Integer(0)]),
    ("acked_total", &[Integer(0)]),
];
const SYNC_PROGRESS: &[Column] = &[
    ("id", &[Integer(1)]),
    ("last_success_ms", &[Null, Integer(1_795_428_000_000)]),
    ("last_error", &[Null, Text("unreachable")]),
    ("next_attempt_ms", &[Null, Integer(1_795_428_000_000)]),
    ("traffic_day", &[Null, Text("2026-11-23")]),
    ("bytes_sent", &[Integer(0)]),
    ("bytes_received", &[Integer(0)]),
];
const DESIRED_DOCUMENT: &[Column] = &[
    ("id", &[Integer(1)]),
    ("etag", &[Text("\"47DEQpj8HBQ\"")]),
    ("device", &[Text("buoy-17")]),
    ("fetched_at_ms", &[Integer(1_795_428_000_000)]),
];
const DESIRED_PROCESS: &[Column] = &[
    ("position", &[Integer(0), Integer(1)]),
    ("namespace", &[Text("default")]),
    ("name", &[Text("collector")]),
    ("generation", &[Integer(2)]),
    ("spec_hash", &[Text("9f86d081884c7d65")]),
    (
        "spec",
        &[
            Text(r#"{"command":["true"],"deviceRef":{"name":"buoy-17"}}"#),
            Blob(b"{}"),
        ],
    ),
];
const SUPERVISED: &[Column] = &[
    ("process", &[Text("default/collector")]),
    ("pid", &[Integer(4242)]),
    ("pid_start_ticks", &[Integer(987_654)]),
    ("boot_id", &[Text(BOOT)]),
    ("spec_hash", &[Text("9f86d081884c7d65")]),
];

/// A database, and a connection of somebody else to its file.
struct Database {
    queue: Queue,
    vandal: Connection,
    _directory: TempDir,
}

thread_local! {
    static DATABASE: OnceCell<std::cell::RefCell<Database>> = const { OnceCell::new() };
}

/// Rows of any content. No call panics; what is offered to a gateway is a report that a gateway reads, whatever is in the
/// rows; and a row that it refuses for good does not come back.
pub fn agent_rows(bytes: &[u8]) {
    DATABASE.with(|database| {
        let database = database.get_or_init(|| Database::make().into());
        let database = &mut *database.borrow_mut();
        database.reset();
        if database.fill(&mut Unstructured::new(bytes)).is_ok() {
            database.read_everything();
            database.drain();
        }
    });
}

impl Database {
    fn make() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let queue = Queue::open_at_boot(directory.path(), QueueLimits::default(), BOOT.to_owned());
        let vandal = Connection::open(directory.path().join(DATABASE_FILE)).expect("the file is there");
        // Its own writes need not survive a power cut.
        vandal
            .pragma_update(None, "synchronous", "OFF")
            .expect("a setting");
        Self {
            queue: queue.expect("a fresh queue"),
            vandal,
            _directory: directory,
        }
    }

    /// Empties all tables, and makes the two that have one row have it.
    fn reset(&self) {
        let sql = "BEGIN IMMEDIATE; DELETE FROM observation; DELETE FROM dead_letter; DELETE FROM gap;
            DELETE FROM failed_attempt; DELETE FROM desired_document; DELETE FROM desired_process;
            DELETE FROM supervised_process; DELETE FROM boot; DELETE FROM queue_head; DELETE FROM sync_progress;
            DELETE FROM sqlite_sequence;
            INSERT INTO queue_head (id, instance, created_at_ms)
                VALUES (1, '0192f7c4-8a11-7d3b-9c5e-426fa0d81733', 0);
            INSERT INTO sync_progress (id) VALUES (1); COMMIT;";
        self.vandal.execute_batch(sql).expect("the tables are there");
    }

    fn fill(&self, source: &mut Unstructured<'_>) -> Result<()> {
        let dead_letter = [OBSERVATION, &REFUSAL].concat();
        let tables: [(&str, &[Column]); 9] = [
            ("observation", OBSERVATION),
            ("dead_letter", &dead_letter),
            ("gap", GAP),
            ("failed_attempt", FAILED_ATTEMPT),
            ("queue_head", QUEUE_HEAD),
            ("sync_progress", SYNC_PROGRESS),
            ("desired_document", DESIRED_DOCUMENT),
            ("desired_process", DESIRED_PROCESS),
            ("supervised_process", SUPERVISED),
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

    /// What people look at: an answer or an error, for whatever is there.
    fn read_everything(&mut self) {
        let queue = &mut self.queue;
        let _ = (queue.stats(), queue.list(100), queue.dead(), queue.gaps());
        let _ = (
            queue.high_water(),
            queue.next_sequence(),
            queue.sync_status(UnixMillis::MAX),
        );
        let _ = queue.export(std::io::sink(), ExportFormat::Ndjson);
        let _ = queue.export(std::io::sink(), ExportFormat::Csv);
        if let Ok(children) = queue.list_supervised() {
            children
                .iter()
                .for_each(|child| assert!(child.process.as_str().contains('/')));
        }
        if let Ok(Some(stored)) = queue.desired() {
            assert!(!stored.document.device.as_str().is_empty());
        }
    }

    /// Offers everything to a gateway that refuses one half for good and takes the other.
    fn drain(&mut self) {
        let Ok(batch) = self.queue.next_batch(BATCH.0, BATCH.1) else {
            return;
        };
        let report = Report {
            queue: Some(batch.queue),
            offered_through: Some(batch.offered_through),
            gaps: batch.gaps.clone(),
            observations: batch.observations.clone(),
            ..Report::empty(batch.instance, UnixMillis::MAX)
        };
        let read = binary::decode_report(&binary::encode_report(&report));
        let read = read.unwrap_or_else(|error| panic!("no gateway reads this: {error}\n{report:?}"));
        let (taken, refused) = (&read.observations, &read.malformed);
        assert_eq!(taken.len() + refused.len(), batch.observations.len());
        let Some(range) = batch.range() else { return };
        if self.queue.mark_offered(*range.end()).is_err() {
            return;
        }
        let verdicts = Verdicts {
            epoch: 1,
            highest_sequence: *range.end(),
            acked: SequenceRange::collect(taken.iter().map(|row| row.seq).collect()),
            accepted: 0,
            duplicates: 0,
            orphaned: 0,
            rejected: refused
                .iter()
                .map(|row| apollo_wire::Rejection {
                    seq: row.seq,
                    reason: apollo_wire::RejectReason::Malformed,
                    message: row.message.clone(),
                })
                .collect(),
            server_time: UnixMillis::MAX,
            clock_skew_ms: 0,
        };
        if self.queue.settle(batch.instance, &batch.gaps, &verdicts).is_ok()
            && let Ok(next) = self.queue.next_batch(BATCH.0, BATCH.1)
        {
            let again = next
                .observations
                .iter()
                .find(|row| batch.observations.iter().any(|sent| sent.seq == row.seq));
            assert_eq!(again, None, "what was settled does not come back");
        }
        let _ = self.queue.requeue(&[1, 2, 3]);
        let _ = self.queue.renew_instance("a check");
        let _ = (self.queue.purge(), self.queue.purge_dead());
    }
}
