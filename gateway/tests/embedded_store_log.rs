//! What the embedded store logs while its disk is full: a line when it begins and a line when it ends (G-07), whatever
//! the number of reports in between. A file of its own, because the log of a process is one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod store_values;

use std::{
    io,
    sync::{Arc, Mutex},
};

use apollo_gateway::store::{
    Store,
    embedded::{EmbeddedStore, Missing},
};
use apollo_gateway_core::store::StoreReply;
use rusqlite::Connection;
use store_values::{append, row};

/// Where log lines go.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn of_the_store(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter(|line| line.contains("store"));
        lines.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn g07_a_full_disk_is_one_line_when_it_begins_and_one_when_it_ends() {
    const REPORTS: u64 = 200;
    let log = Lines::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let store = EmbeddedStore::open(&path, Missing::Create).unwrap();
    for full in 1..=2_usize {
        Connection::open(&path)
            .unwrap()
            .execute_batch(
                "CREATE TRIGGER refused BEFORE INSERT ON history BEGIN SELECT RAISE(FAIL, 'no space'); END",
            )
            .unwrap();
        for seq in 1..=REPORTS {
            let reply = store.execute(append("buoy", 1, vec![row(seq)])).await;
            assert!(matches!(reply, StoreReply::Unavailable { .. }), "{reply:?}");
            assert!(!store.is_working());
        }
        assert_eq!(
            log.of_the_store().len(),
            2 * full - 1,
            "{:#?}",
            log.of_the_store()
        );
        Connection::open(&path)
            .unwrap()
            .execute_batch("DROP TRIGGER refused")
            .unwrap();
        for seq in 1..=REPORTS {
            let reply = store.execute(append("buoy", 1, vec![row(seq)])).await;
            assert!(matches!(reply, StoreReply::HistoryAppended { .. }), "{reply:?}");
        }
        assert!(store.is_working());
        let lines = log.of_the_store();
        assert_eq!(lines.len(), 2 * full, "{lines:#?}");
        assert!(
            lines[2 * full - 2].contains("ERROR") && lines[2 * full - 1].contains("works again"),
            "{lines:#?}"
        );
    }
}
