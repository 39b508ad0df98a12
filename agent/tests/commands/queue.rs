//! `queue ...`: looking at and tending the queue.

use std::process::Stdio;

use serde_json::Value;

use crate::program::Device;

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn with_rows(count: usize) -> Device {
    let device = Device::new();
    let lines = "{\"process\":\"default/a\",\"message\":\"one\\ntwo, \\\"three\\\"\"}\n".repeat(count);
    assert_eq!(device.feed(&["observe", "--stdin"], lines.as_bytes()).code, 0);
    device
}

/// A dead letter as settling makes it.
fn with_dead_letter() -> Device {
    let device = with_rows(2);
    device
        .database()
        .execute_batch(
            "INSERT INTO dead_letter SELECT *, 1763979650000, 'NotBound', 'bound elsewhere' FROM observation WHERE seq = 1;
             UPDATE queue_head SET pending_rows = 1,
                 pending_bytes = pending_bytes - (SELECT bytes FROM observation WHERE seq = 1);
             DELETE FROM observation WHERE seq = 1;",
        )
        .unwrap();
    device
}

#[test]
fn json_has_the_keys_of_the_contract() {
    let device = with_dead_letter();
    device.run(&["queue", "purge", "--yes"]);
    device.run(&["observe", "--process", "default/a"]);
    let stats = device.json(&["queue", "stats", "--json"]);
    for key in ["instance", "rows", "bytes", "oldest", "dead", "gaps"] {
        assert!(stats.get(key).is_some(), "{key}");
    }
    for (what, columns) in [
        (
            "list",
            "attempts bytes clock message observed_at process reason seq state",
        ),
        (
            "dead",
            "detail observed_at process reason rejected_at rejection seq",
        ),
        ("gaps", "created_at first last reason"),
    ] {
        let rows = device.json(&["queue", what, "--json"]);
        assert_eq!(keys(&rows[0]).join(" "), columns, "{what}");
    }
    let empty = Device::new();
    assert_eq!(empty.json(&["queue", "list", "--json"]), Value::Array(vec![]));
    assert_eq!(empty.json(&["queue", "stats", "--json"])["oldest"], Value::Null);
    assert_eq!(empty.json(&["desired", "--json"]), Value::Null);
}

#[test]
fn the_table_has_one_line_for_each_row_whatever_the_messages() {
    let device = with_rows(3);
    let listed = device.run(&["queue", "list", "--limit", "2"]).stdout;
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert!(
        listed.lines().nth(1).unwrap().contains("one two, \"three\""),
        "{listed}"
    );
    assert!(!listed.contains('\u{1b}'), "no colours where nobody looks");
}

#[test]
fn csv_has_a_header_and_quotes_what_needs_it() {
    let device = with_rows(1);
    let csv = device.run(&["queue", "export", "--format", "csv"]).stdout;
    assert!(csv.starts_with(
        "seq,process,observedAt,clock,state,specHash,pid,exitCode,restarts,reason,message,values\n"
    ));
    assert!(csv.ends_with("\"one\ntwo, \"\"three\"\"\",\n"), "{csv}");
}

#[test]
fn purge_wants_a_yes_and_tells_the_gateway() {
    let device = with_rows(2);
    let refused = device.run(&["queue", "purge"]);
    assert_eq!(
        (
            refused.code,
            device.json(&["queue", "stats", "--json"])["rows"].as_u64()
        ),
        (2, Some(2))
    );
    assert!(refused.stderr.contains("--yes"));
    assert_eq!(
        device.run(&["queue", "purge", "--yes"]).stdout,
        "purged 2 pending observations\n"
    );
    assert_eq!(device.json(&["queue", "gaps", "--json"])[0]["reason"], "Purged");
}

#[test]
fn requeue_names_the_new_sequence_and_fails_for_what_is_no_dead_letter() {
    let device = with_dead_letter();
    let ended = device.run(&["queue", "requeue", "1", "2"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (1, "1 is pending again as 3\n")
    );
    assert_eq!(ended.stderr, "error: not among the dead letters: 2\n");
    let stats = device.json(&["queue", "stats", "--json"]);
    assert_eq!(
        (stats["rows"].as_u64(), stats["dead"].as_u64()),
        (Some(2), Some(0))
    );
}

#[test]
fn dead_letters_are_purged_only_by_name() {
    let device = with_dead_letter();
    assert_eq!(
        device.run(&["queue", "purge", "--dead", "--yes"]).stdout,
        "purged 1 dead letters\n"
    );
    let stats = device.json(&["queue", "stats", "--json"]);
    assert_eq!(
        (stats["rows"].as_u64(), stats["dead"].as_u64()),
        (Some(1), Some(0))
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let device = with_rows(5_000);
    let mut child = device
        .command(&["queue", "export"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr), (Some(0), vec![]));
}

#[test]
fn the_data_directory_may_be_named_before_and_after_the_verb() {
    let device = Device::new();
    let data = device.data_dir();
    let data = data.to_str().unwrap();
    device.run(&["observe", "--process", "default/a"]);
    for args in [
        ["queue", "stats", "--json", "--data-dir", data],
        ["queue", "--data-dir", data, "stats", "--json"],
    ] {
        let mut command = device.command(&args);
        let ended = command.env_remove("APOLLO_AGENT_DATA_DIR").output().unwrap();
        let stats: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
        assert_eq!(stats["rows"], 1, "{args:?}");
    }
}
