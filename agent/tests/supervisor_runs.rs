//! The supervisor over real children: starts, ends, restarts and replacements.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod supervisor_bench;

use std::time::{Duration, Instant};

use serde_json::json;
use supervisor_bench::{Bench, is_alive, number_in, script, until};

#[tokio::test]
async fn exit_codes_and_signals_are_told_as_shells_tell_them() {
    let mut bench = Bench::new();
    for (name, text, expected) in [
        ("ok", "exit 0", "ok Succeeded Exited 0"),
        ("three", "exit 3", "three Failed Exited 3"),
        ("killed", "kill -KILL $$", "killed Failed Exited 137"),
        ("termed", "kill -TERM $$", "termed Failed Exited 143"),
    ] {
        bench.desire(&[(name, script(text))]);
        let mut said = [String::new(), String::new()];
        while said[1] != expected {
            said.rotate_left(1);
            said[1] = bench.next_words().await;
        }
        assert_eq!(said[0], format!("{name} Running Started"));
    }
}

#[tokio::test]
async fn a_failure_keeps_the_last_line_as_its_message() {
    let mut bench = Bench::new();
    bench.desire(&[("a", script("echo starting; echo 'no such port' >&2; exit 1"))]);
    let started = bench.next().await;
    assert!(started.pid.is_some() && started.exit_code.is_none() && started.spec_hash.is_some());
    let failed = bench.next().await;
    assert_eq!(
        (failed.message.as_str(), failed.pid),
        ("no such port", started.pid)
    );
    let log = std::fs::read_to_string(bench.path("logs/default_a.log")).unwrap();
    assert_eq!(log, "starting\nno such port\n");
}

#[tokio::test]
async fn a_crashing_process_is_started_again_and_again() {
    let mut bench = Bench::new();
    bench.desire(&[("a", json!({"command": ["/bin/sh", "-c", "exit 7"]}))]);
    for restarts in 0..4 {
        let started = bench.next().await;
        assert_eq!(
            (started.reason.as_str(), started.restarts),
            ("Started", Some(restarts))
        );
        let ended = bench.next().await;
        let reason = if restarts < 2 { "BackingOff" } else { "CrashLoop" };
        assert_eq!((ended.reason.as_str(), ended.exit_code), (reason, Some(7)));
    }
}

#[tokio::test]
async fn a_program_or_directory_that_is_missing_is_named_and_tried_again() {
    let mut bench = Bench::new();
    bench.desire(&[("a", json!({"command": ["apollo-no-such-program"]}))]);
    let missing = bench.next().await;
    assert_eq!(missing.reason, "SpawnFailed");
    assert!(
        missing.message.contains("apollo-no-such-program"),
        "{}",
        missing.message
    );
    assert_eq!(bench.next_words().await, "a Backoff SpawnFailed");
    let directory = bench.path("later");
    bench.desire(&[(
        "a",
        json!({"command": ["true"], "workingDirectory": directory, "restartPolicy": "OnFailure"}),
    )]);
    let mut said = bench.next().await;
    while !said.message.contains("workingDirectory") {
        said = bench.next().await;
    }
    std::fs::create_dir(&directory).unwrap();
    while bench.next_words().await != "a Succeeded Exited 0" {}
}

#[tokio::test]
async fn a_program_is_looked_up_in_path_and_gets_its_arguments_environment_and_directory() {
    let mut bench = Bench::new();
    let text = r#"echo "$1 $GREETING $APOLLO_PROCESS $(pwd)" > out; read nothing || echo no input >> out"#;
    let mut spec =
        json!({"command": ["sh", "-c"], "args": [text, "sh", "one two"], "restartPolicy": "Never"});
    spec["env"] = json!([{"name": "GREETING", "value": "hello"}]);
    bench.desire(&[("a", spec)]);
    while bench.next_words().await != "a Succeeded Exited 0" {}
    let here = bench.directory.path().canonicalize().unwrap();
    let out = std::fs::read_to_string(bench.path("out")).unwrap();
    assert_eq!(
        out,
        format!("one two hello default/a {}\nno input\n", here.display())
    );
}

#[tokio::test]
async fn a_process_that_ignores_sigterm_is_killed_after_its_grace() {
    let mut bench = Bench::new();
    let mut spec = script("trap '' TERM; echo $$ > pid; while :; do sleep 1; done");
    spec["stopGracePeriodSeconds"] = json!(1);
    bench.desire(&[("a", spec)]);
    bench.next().await;
    number_in(&bench.path("pid")).await;
    let asked = Instant::now();
    bench.desire(&[]);
    assert_eq!(bench.next_words().await, "a Stopped Removed 137");
    assert!(asked.elapsed() >= Duration::from_secs(1), "{:?}", asked.elapsed());
    assert!(bench.records.all().is_empty());
    until("the log is removed", || {
        !bench.path("logs/default_a.log").exists()
    })
    .await;
}

#[tokio::test]
async fn a_stop_reaches_grandchildren_also_those_that_ignore_sigterm() {
    let mut bench = Bench::new();
    let text = "sh -c 'trap \"\" TERM; echo $$ > grandchild; while :; do sleep 1; done' & wait";
    bench.desire(&[("a", script(text))]);
    bench.next().await;
    let grandchild = number_in(&bench.path("grandchild")).await;
    assert!(is_alive(grandchild));
    bench.desire(&[]);
    assert_eq!(bench.next_words().await, "a Stopped Removed 143");
    until("the grandchild is gone", || !is_alive(grandchild)).await;
}

#[tokio::test]
async fn what_a_run_leaves_behind_ends_with_it() {
    let mut bench = Bench::new();
    bench.desire(&[("a", script("sleep 1000 & echo $! > stray; exit 0"))]);
    while bench.next_words().await != "a Succeeded Exited 0" {}
    let stray = number_in(&bench.path("stray")).await;
    until("the stray is gone", || !is_alive(stray)).await;
}

#[tokio::test]
async fn a_changed_spec_starts_after_the_old_run_has_gone() {
    let mut bench = Bench::new();
    // Each run refuses to share: it fails if the other one's lock is still there.
    let run = |name: &str| {
        let text = format!(
            "mkdir lock || exit 9; echo $$ > {name}; trap 'sleep 0.2; rmdir lock; exit 0' TERM; while :; do sleep 0.05; done"
        );
        json!({"command": ["/bin/sh", "-c", text]})
    };
    bench.desire(&[("a", run("first"))]);
    let first = bench.next().await;
    number_in(&bench.path("first")).await;
    bench.desire(&[("a", run("second"))]);
    let replaced = bench.next().await;
    assert_eq!(
        (supervisor_bench::words(&replaced).as_str(), replaced.spec_hash),
        ("a Pending Replaced 0", first.spec_hash)
    );
    let second = bench.next().await;
    assert_eq!(second.reason, "Started");
    assert_ne!(second.spec_hash, first.spec_hash);
    number_in(&bench.path("second")).await;
}

#[tokio::test]
async fn an_invalid_spec_is_reported_and_the_others_run() {
    let mut bench = Bench::new();
    bench.desire(&[("bad", json!({"command": "true"})), ("good", script("exit 0"))]);
    let bad = bench.next().await;
    assert_eq!(supervisor_bench::words(&bad), "bad Failed SpecInvalid");
    assert!(bad.message.starts_with("spec.command: "), "{}", bad.message);
    assert_eq!(bench.next_words().await, "good Running Started");
}

#[tokio::test]
async fn shutdown_stops_the_children_and_ends() {
    let mut bench = Bench::new();
    bench.desire(&[("a", script("exec sleep 1000")), ("b", script("exec sleep 1000"))]);
    let pids = [bench.next().await.pid.unwrap(), bench.next().await.pid.unwrap()];
    let mut said = bench.shut_down().await;
    said.sort();
    assert_eq!(
        said,
        ["a Stopped AgentStopping 143", "b Stopped AgentStopping 143"]
    );
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
}
