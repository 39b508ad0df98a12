//! What an agent that was killed leaves alive: found and stopped by the next one, and nobody else's processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod supervisor_bench;

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use serde_json::json;
use supervisor_bench::{Bench, MemoryRecords, is_alive, number_in, record_of, script, start_ticks, until};

/// A child that no supervisor of this test started, in a group of its own; ended when the test is.
struct Foreign(Child);

impl Foreign {
    fn start(text: &str, directory: &std::path::Path, marks: &[(&str, &str)]) -> Self {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", text])
            .current_dir(directory)
            .stdin(Stdio::null())
            .process_group(0);
        command.envs(marks.iter().copied());
        Self(command.spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended. Reaps it, as init does with the children of a killed agent.
    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_recorded_left_over_is_stopped_before_its_process_starts_anew() {
    let directory = tempfile::tempdir().unwrap();
    let mut old = Foreign::start("exec sleep 1000", directory.path(), &[]);
    let records = MemoryRecords::with(record_of("default/a", old.pid(), start_ticks(old.pid())));
    let mut bench = Bench::over(directory, records.clone());
    bench.desire(&[("a", script("exec sleep 1000"))]);
    let found = bench.next().await;
    assert_eq!(supervisor_bench::words(&found), "a Stopped LeftOverStopped");
    assert_eq!(found.pid, Some(old.pid()));
    assert!(old.has_ended(), "gone before anything is said");
    let started = bench.next().await;
    assert_eq!(started.reason, "Started");
    assert_eq!(
        records
            .all()
            .iter()
            .map(|record| Some(record.pid))
            .collect::<Vec<_>>(),
        [started.pid]
    );
    bench.shut_down().await;
}

#[tokio::test]
async fn a_left_over_that_ignores_sigterm_is_killed_with_its_group() {
    let directory = tempfile::tempdir().unwrap();
    let text = "trap '' TERM; sh -c 'echo $$ > grandchild; sleep 1000' & while :; do sleep 1; done";
    let mut old = Foreign::start(text, directory.path(), &[]);
    let grandchild = number_in(&directory.path().join("grandchild")).await;
    let records = MemoryRecords::with(record_of("default/a", old.pid(), start_ticks(old.pid())));
    let mut bench = Bench::over(directory, records);
    assert_eq!(bench.next_words().await, "a Stopped LeftOverStopped");
    assert!(old.has_ended());
    until("the grandchild is gone", || !is_alive(grandchild)).await;
}

#[tokio::test]
async fn a_left_over_without_a_record_is_known_by_its_environment() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path().canonicalize().unwrap();
    let marks = [
        ("APOLLO_PROCESS", "default/b"),
        ("APOLLO_AGENT_DATA_DIR", here.to_str().unwrap()),
    ];
    let mut old = Foreign::start("exec sleep 1000", directory.path(), &marks);
    let mut bench = Bench::over(directory, MemoryRecords::default());
    assert_eq!(bench.next_words().await, "b Stopped LeftOverStopped");
    assert!(old.has_ended());
}

#[tokio::test]
async fn a_recycled_process_id_another_boot_and_another_agent_are_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let marks = [
        ("APOLLO_PROCESS", "default/c"),
        ("APOLLO_AGENT_DATA_DIR", "/somewhere/else"),
    ];
    let mut stranger = Foreign::start("exec sleep 1000", directory.path(), &marks);
    let ticks = start_ticks(stranger.pid());
    let recycled = record_of("default/a", stranger.pid(), ticks - 1);
    let mut rebooted = record_of("default/b", stranger.pid(), ticks);
    rebooted.boot_id = "another".to_owned();
    for record in [recycled, rebooted] {
        let records = MemoryRecords::with(record);
        let mut bench = Bench::over(tempfile::tempdir().unwrap(), records.clone());
        bench.desire(&[("z", json!({"command": ["sleep", "1000"]}))]);
        assert_eq!(bench.next_words().await, "z Running Started", "nothing was found");
        assert_eq!(records.all().len(), 1, "the stale record is gone");
        assert!(!stranger.has_ended());
        bench.shut_down().await;
    }
}

#[tokio::test]
async fn records_live_in_the_queue_database() {
    use apollo_agent::{
        queue::{Queue, QueueLimits},
        supervisor::RunRecords,
    };
    let directory = tempfile::tempdir().unwrap();
    let mut queue = Queue::open(directory.path(), QueueLimits::default()).unwrap();
    let record = record_of("default/a", 42, 7);
    queue.put_run(&record).unwrap();
    let mut reopened = Queue::open(directory.path(), QueueLimits::default()).unwrap();
    assert_eq!(reopened.list_runs().unwrap(), std::slice::from_ref(&record));
    reopened.delete_run(&record.process).unwrap();
    assert_eq!(queue.list_runs().unwrap(), []);
}
