//! R-08, Q-09: damage inside the file that SQLite itself does not see stays where it is, and blocks nothing else.

use std::process::{Command, Stdio};

use apollo_agent::queue::{Queue, QueueLimits};
use apollo_wire::{Report, UnixMillis, binary};

use crate::support::{Scratch, gap, row};

fn damage(scratch: &Scratch, sql: &str) {
    scratch.sqlite().execute_batch(sql).unwrap();
}

#[test]
fn a_damaged_gap_record_becomes_corrupt_is_sent_and_taken() {
    let mut scratch = Scratch::rows(1);
    scratch.append(4);
    assert_eq!(scratch.gaps(), [gap(1, 3, "QueueFull")]);
    damage(
        &scratch,
        "UPDATE gap SET reason = x'00ff'; INSERT INTO gap VALUES (7, 'x', 'Purged', 0), (9, 8, 'Purged', 0), \
         (0, 5, 'Purged', 0)",
    );
    let sent = scratch.offer();
    assert_eq!(sent.range(), Some(4..=4));
    let corrupt = [gap(1, 3, "Corrupt"), gap(7, 7, "Corrupt"), gap(9, 9, "Corrupt")];
    assert_eq!(scratch.gaps(), corrupt);
    let settled = scratch
        .queue
        .settle(sent.instance, &sent.gaps, &crate::support::verdicts(&[], &[]))
        .unwrap();
    assert_eq!((settled.gaps, scratch.gaps()), (3, vec![]));
}

#[test]
fn a_damaged_gap_record_does_not_keep_rows_from_being_stored() {
    let mut scratch = Scratch::rows(1);
    scratch.append(2);
    damage(&scratch, "UPDATE gap SET last = 'x'");
    assert_eq!(scratch.append(1), 3..=3);
    assert_eq!(scratch.gaps(), [gap(1, 1, "Corrupt"), gap(2, 2, "QueueFull")]);
}

#[test]
fn a_row_without_a_size_blocks_neither_overflow_nor_purge() {
    let mut scratch = Scratch::rows(2);
    scratch.append(2);
    damage(&scratch, "UPDATE observation SET bytes = 'x'");
    assert_eq!(scratch.append(1), 3..=3);
    assert_eq!(scratch.queue.purge().unwrap(), 2);
}

#[test]
fn totals_that_differ_from_the_rows_are_counted_anew_at_the_start() {
    let mut scratch = Scratch::new();
    scratch.append(3);
    let before = scratch.queue.stats().unwrap();
    damage(
        &scratch,
        "UPDATE queue_head SET pending_rows = 9, pending_bytes = 9000",
    );
    scratch.queue.verify().unwrap();
    assert_eq!(scratch.queue.stats().unwrap(), before);
    // Nothing to set right, nothing written.
    let version = scratch.another().data_version().unwrap();
    scratch.queue.verify().unwrap();
    assert_eq!(scratch.another().data_version().unwrap(), version);
}

/// The commands of `docs/storage.md`, "Damage".
#[test]
fn what_a_damaged_file_still_has_can_be_saved_as_documented() {
    let documented = include_str!("../../../docs/storage.md");
    let (_, rest) = documented.split_once("```sh\n(sqlite3").unwrap();
    let (commands, _) = rest.split_once("```").unwrap();
    let mut scratch = Scratch::new();
    for _ in 0..20 {
        scratch.queue.append(&vec![row(&"m".repeat(50)); 100]).unwrap();
    }
    damage(&scratch, "PRAGMA wal_checkpoint(TRUNCATE)");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.db");
    let mut bytes = std::fs::read(scratch.dir.path().join("agent.db")).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let ran = Command::new("sh")
        .args(["-c", &format!("(sqlite3{commands}")])
        .current_dir(directory.path())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(ran.success());
    let mut queue = Queue::open(directory.path(), QueueLimits::default()).unwrap();
    queue.verify().unwrap();
    let saved = queue.stats().unwrap().rows;
    assert!((1_900..2_000).contains(&saved), "{saved}");
    assert_eq!(
        queue.next_batch(5_000, usize::MAX).unwrap().observations.len() as u64,
        saved
    );
    assert_eq!(queue.append(&[row("")]).unwrap(), 2_001..=2_001);
    let mode: String = rusqlite::Connection::open(&path)
        .unwrap()
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn a_row_under_a_key_that_was_never_handed_out_does_not_come_back() {
    let mut scratch = Scratch::new();
    scratch.append(3);
    damage(
        &scratch,
        "UPDATE observation SET seq = -7 WHERE seq = 1; UPDATE observation SET seq = 0 WHERE seq = 2",
    );
    // No verdict could name it, and no gap record.
    assert_eq!(scratch.offer().range(), Some(3..=3));
    assert_eq!((scratch.offer().range(), scratch.gaps()), (Some(3..=3), vec![]));
    assert_eq!(scratch.queue.stats().unwrap().rows, 1);
}

#[test]
fn a_size_that_no_row_has_counts_nothing() {
    let mut scratch = Scratch::new();
    scratch.append(4);
    damage(
        &scratch,
        "UPDATE observation SET bytes = (1 << 63), process = '?' WHERE seq = 1; \
         UPDATE observation SET bytes = ~(1 << 63) WHERE seq IN (2, 3)",
    );
    assert_eq!(scratch.offer().range(), Some(2..=4));
    assert_eq!(scratch.gaps(), [gap(1, 1, "Corrupt")]);
    assert_eq!(scratch.queue.purge().unwrap(), 3);
}

/// Found by fuzzing `agent_rows`: such a row made every gateway refuse the whole batch.
#[test]
fn a_row_with_more_than_a_frame_carries_becomes_a_gap_and_one_at_that_limit_is_sent() {
    let mut scratch = Scratch::new();
    scratch.append(5);
    let values = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("\"v{number}\":1")).collect();
        format!("{{{}}}", names.join(","))
    };
    let sql = format!(
        "UPDATE observation SET reason = printf('%.*c', {most}, 'r') WHERE seq = 1;
         UPDATE observation SET reason = printf('%.*c', {most} + 1, 'r') WHERE seq = 2;
         UPDATE observation SET values_json = '{}' WHERE seq = 3;
         UPDATE observation SET values_json = '{}' WHERE seq = 4;",
        values(255),
        values(256),
        most = binary::TEXT_BYTES,
    );
    damage(&scratch, &sql);
    let sent = scratch.offer();
    let sequences: Vec<u64> = sent.observations.iter().map(|row| row.seq).collect();
    assert_eq!(sequences, [1, 3, 5]);
    assert_eq!(scratch.gaps(), [gap(2, 2, "Corrupt"), gap(4, 4, "Corrupt")]);
    let report = Report {
        observations: sent.observations,
        ..Report::empty(sent.instance, UnixMillis::MAX)
    };
    let read = binary::decode_report(&binary::encode_report(&report)).unwrap();
    assert_eq!((read.observations.len(), read.malformed.len()), (1, 2));
}
