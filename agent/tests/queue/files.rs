//! the file outlives crashes, is shared by processes, and is never reset.

use std::{fs, path::Path, thread};

use apollo_agent::queue::{OpenError, Queue, QueueLimits};
use rusqlite::Connection;

use crate::support::{Scratch, row};

const FIXTURE: &str = include_str!("../../../fixtures/sqlite/agent-v1.sql");

fn open(dir: &Path) -> Result<Queue, OpenError> {
    Queue::open(dir, QueueLimits::default())
}

#[test]
fn what_was_told_is_there_after_a_restart_without_a_clean_end() {
    let mut scratch = Scratch::new();
    scratch.append(3);
    // A copy taken while the file is open is what a power cut leaves, without the shared memory file.
    let crashed = tempfile::tempdir().unwrap();
    for file in ["agent.db", "agent.db-wal"] {
        fs::copy(scratch.dir.path().join(file), crashed.path().join(file)).unwrap();
    }
    let mut queue = open(crashed.path()).unwrap();
    assert_eq!(queue.next_batch(10, usize::MAX).unwrap().range(), Some(1..=3));
    queue.verify().unwrap();
}

#[test]
fn a_transaction_cut_short_leaves_nothing() {
    let mut scratch = Scratch::new();
    scratch.append(1);
    let writer = scratch.sqlite();
    writer
        .execute_batch("BEGIN IMMEDIATE; DELETE FROM observation; UPDATE queue_head SET pending_rows = 0")
        .unwrap();
    drop(writer);
    assert_eq!(
        (scratch.pending(), scratch.queue.stats().unwrap().rows),
        (vec![1], 1)
    );
}

#[test]
fn first_commands_at_once_make_one_database() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("not/yet/there");
    let instances: Vec<_> = thread::scope(|scope| {
        let commands: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut queue = open(&data_dir).unwrap();
                    queue.append(&[row(""), row("")]).unwrap();
                    queue.instance()
                })
            })
            .collect();
        commands
            .into_iter()
            .map(|command| command.join().unwrap())
            .collect()
    });
    assert!(instances.iter().all(|instance| *instance == instances[0]));
    let queue = open(&data_dir).unwrap();
    assert_eq!(
        (queue.stats().unwrap().rows, queue.high_water().unwrap()),
        (16, 16)
    );
}

#[test]
fn a_reader_in_the_middle_of_a_read_blocks_no_writer_and_sees_one_moment() {
    let mut scratch = Scratch::new();
    scratch.append(1);
    let reader = scratch.sqlite();
    let count = || {
        reader
            .query_row("SELECT count(*) FROM queue", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(count(), 1);
    scratch.append(5);
    assert_eq!(count(), 1);
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(count(), 6);
}

#[test]
fn a_running_agent_notices_the_rows_of_another_process() {
    let scratch = Scratch::new();
    let before = scratch.queue.data_version().unwrap();
    scratch.another().append(&[row("")]).unwrap();
    assert_ne!(scratch.queue.data_version().unwrap(), before);
}

#[test]
fn a_damaged_file_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.db");
    let garbage = b"this is no database, whatever it was before".repeat(100);
    fs::write(&path, &garbage).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("agent.db is damaged"));
    assert_eq!(fs::read(&path).unwrap(), garbage);
}

#[test]
fn damage_behind_the_first_page_is_found_by_verify() {
    let mut scratch = Scratch::new();
    scratch.append(2_000);
    scratch
        .sqlite()
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    let path = scratch.dir.path().join("agent.db");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xff);
    let damaged = tempfile::tempdir().unwrap();
    fs::write(damaged.path().join("agent.db"), bytes).unwrap();
    let verified = open(damaged.path()).and_then(|queue| queue.verify());
    assert!(matches!(verified, Err(OpenError::Damaged { .. })), "{verified:?}");
}

#[test]
fn a_file_of_another_program_or_of_a_newer_agent_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (x)")
        .unwrap();
    assert!(matches!(open(dir.path()), Err(OpenError::Foreign { .. })));

    let scratch = Scratch::new();
    scratch.sqlite().pragma_update(None, "user_version", 2).unwrap();
    let error = open(scratch.dir.path()).unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::Newer {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(
        scratch
            .sqlite()
            .query_row("SELECT count(*) FROM queue_head", [], |row| row.get(0)),
        Ok(1)
    );
}

#[test]
fn a_data_directory_that_is_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    assert!(matches!(open(&path), Err(OpenError::Directory { .. })));
}

#[test]
fn the_first_released_file_opens_with_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    Connection::open(dir.path().join("agent.db"))
        .unwrap()
        .execute_batch(FIXTURE)
        .unwrap();
    let mut queue = open(dir.path()).unwrap();
    assert_eq!(
        queue.instance().to_string(),
        "0192f7c4-5b1e-4c59-9d0e-6f1d7e3a2b10"
    );
    let batch = queue.next_batch(10, usize::MAX).unwrap();
    assert_eq!(
        (batch.range(), batch.gaps.len(), batch.offered_through),
        (Some(8..=9), 1, 8)
    );
    assert_eq!(queue.dead().unwrap().len(), 1);
    assert_eq!(queue.desired().unwrap().unwrap().document.processes.len(), 1);
    assert_eq!(queue.list_supervised().unwrap().len(), 1);
    assert_eq!(queue.append(&[row("")]).unwrap(), 10..=10);
    queue.verify().unwrap();
}

#[test]
fn the_fixture_and_a_new_file_have_the_same_schema() {
    let schema = |connection: &Connection| -> Vec<String> {
        let mut statement = connection
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY name")
            .unwrap();
        statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    };
    let fixture = Connection::open_in_memory().unwrap();
    fixture.execute_batch(FIXTURE).unwrap();
    assert_eq!(schema(&Scratch::new().sqlite()), schema(&fixture));
}

#[test]
fn the_log_stays_bounded_where_every_command_is_a_process_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("agent.db-wal");
    let (mut largest, mut kept) = (0, 0);
    for _ in 0..300 {
        open(dir.path()).unwrap().append(&[row("")]).unwrap();
        let bytes = fs::metadata(&log).map_or(0, |log| log.len());
        largest = largest.max(bytes);
        kept += u64::from(bytes > 0);
    }
    assert!(largest < 1024 * 1024 + 64 * 1024, "{largest} bytes");
    assert!(kept > 250, "most commands only append to the log: {kept} of 300");
    assert_eq!(open(dir.path()).unwrap().stats().unwrap().rows, 300);
}
