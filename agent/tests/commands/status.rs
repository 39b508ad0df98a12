//! `status` and `desired`: what a person asks first.

use crate::program::Device;

fn explanation(device: &Device, sql: &str) -> String {
    device.database().execute_batch(sql).unwrap();
    device.run(&["status"]).stdout
}

#[test]
fn before_the_first_run_it_says_that_nothing_runs() {
    let device = Device::new();
    device.run(&["observe", "--process", "default/a"]);
    let ended = device.run(&["status"]);
    assert_eq!((ended.code, ended.stdout.lines().count()), (0, 1));
    for part in [
        "1 pending",
        "no exchange was tried yet",
        "`apollo-agent run` is not running",
    ] {
        assert!(ended.stdout.contains(part), "{}", ended.stdout);
    }
}

#[test]
fn json_has_the_keys_of_the_contract() {
    let device = Device::new();
    let status = device.json(&["status", "--json"]);
    for key in [
        "instance",
        "pending",
        "dead",
        "lastSuccess",
        "nextAttempt",
        "lastError",
        "explanation",
    ] {
        assert!(status.get(key).is_some(), "{key}");
    }
    assert_eq!(status["pending"], 0);
    assert!(status["lastSuccess"].is_null());
}

#[test]
fn it_tells_what_went_wrong_and_what_happens_next() {
    let device = Device::new();
    device.run(&["status"]);
    let running = device.pretend_to_run();
    let now = "CAST(strftime('%s','now') AS INTEGER) * 1000";
    let failed = explanation(
        &device,
        &format!(
            "UPDATE sync_progress SET last_success_ms = {now} - 7200000, last_error = 'no answer',
             last_error_at_ms = {now} - 90000, next_attempt_ms = {now} + 600000"
        ),
    );
    for part in [
        "nothing is pending",
        "failed 1m 3",
        "no answer",
        "the last success was 2h",
        "next attempt is in 9m",
    ] {
        assert!(failed.contains(part), "{part}: {failed}");
    }
    let overdue = explanation(
        &device,
        &format!("UPDATE sync_progress SET next_attempt_ms = {now} - 3600000"),
    );
    assert!(
        overdue.contains("was due 1h") && overdue.contains("is not over yet"),
        "{overdue}"
    );
    let jumped = explanation(
        &device,
        &format!("UPDATE sync_progress SET last_error_at_ms = {now} + 3600000"),
    );
    assert!(jumped.contains("in the future by this clock"), "{jumped}");
    drop(running);
    let dead = explanation(
        &device,
        &format!("UPDATE sync_progress SET next_attempt_ms = {now} + 600000"),
    );
    assert!(
        dead.contains("`apollo-agent run` is not running") && !dead.contains("in 9m"),
        "{dead}"
    );
}

#[test]
fn desired_shows_the_document_and_its_etag() {
    let device = Device::new();
    assert!(
        device
            .run(&["desired"])
            .stdout
            .starts_with("No desired state yet")
    );
    device
        .database()
        .execute_batch(
            "INSERT INTO desired_document VALUES (1, '\"3f2a\"', 'buoy-17', 1763979650000);
             INSERT INTO desired_process VALUES (0, 'default', 'collector', 2, '9f86d081884c7d65', '{\"command\":[\"x\"]}')",
        )
        .unwrap();
    let shown = device.run(&["desired"]).stdout;
    for part in [
        "buoy-17",
        "\"3f2a\"",
        "2025-11-24T10:20:50.000Z",
        "default/collector",
        "9f86d081884c7d65",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let json = device.json(&["desired", "--json"]);
    assert_eq!(
        (&json["etag"], &json["processes"][0]["generation"]),
        (&"\"3f2a\"".into(), &2.into())
    );
    assert_eq!(json["processes"][0]["spec"]["command"][0], "x");
}
