//! `observe`: from the command line and from standard input. Q-12: what it would have to ignore, it refuses.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use crate::program::Device;

#[test]
fn one_observation_prints_its_sequence_also_before_the_first_run() {
    let device = Device::new();
    let args = [
        "observe",
        "--process",
        "default/collector",
        "--state",
        "Running",
        "--reason",
        "Started",
    ];
    let first = device.run(&args);
    assert_eq!(
        (first.code, first.stdout.as_str(), first.stderr.as_str()),
        (0, "1\n", "")
    );
    assert_eq!(device.run(&args).stdout, "2\n");
    let again = device.run(&["observe", "--process", "default/collector", "--json"]);
    assert_eq!(again.stdout, "{\"first\":3,\"last\":3}\n");
}

#[test]
fn every_field_of_the_command_line_is_stored() {
    let device = Device::new();
    let mut args = vec![
        "observe",
        "--process",
        "default/collector",
        "--state",
        "Failed",
        "--reason",
        "Exited",
    ];
    args.extend([
        "--message",
        "gone",
        "--value",
        "rss_kib=5321",
        "--value",
        "load=-0.5",
        "--exit-code",
        "-1",
    ]);
    args.extend([
        "--at",
        "2026-11-23T12:00:00.5+02:00",
        "--clock",
        "unsynced",
        "--spec-hash",
        "9f86d081884c7d65",
    ]);
    args.extend(["--pid", "42", "--restarts", "3"]);
    assert_eq!(device.run(&args).code, 0);
    let expected = serde_json::json!({
        "seq": 1, "process": "default/collector", "observedAt": "2026-11-23T10:00:00.500Z", "clock": "unsynced",
        "state": "Failed", "specHash": "9f86d081884c7d65", "pid": 42, "exitCode": -1, "restarts": 3,
        "reason": "Exited", "message": "gone", "values": {"load": -0.5, "rss_kib": 5321},
    });
    assert_eq!(device.json(&["queue", "export"]), expected);
}

#[test]
fn a_bad_argument_is_a_usage_error_that_says_what_was_expected() {
    let device = Device::new();
    let long = "r".repeat(129);
    for (args, expected) in [
        (vec!["observe"], "--process"),
        (vec!["observe", "--process", "collector"], "NAMESPACE/NAME"),
        (
            vec!["observe", "--process", "d/a", "--state", "running"],
            "Running",
        ),
        (
            vec!["observe", "--process", "d/a", "--value", "rss"],
            "NAME=NUMBER",
        ),
        (
            vec!["observe", "--process", "d/a", "--value", "rss=inf"],
            "finite",
        ),
        (vec!["observe", "--process", "d/a", "--at", "noon"], "RFC 3339"),
        (vec!["observe", "--process", "d/a", "--stdin"], "--stdin"),
        (
            vec!["observe", "--process", "d/a", "--reason", &long],
            "at most 128",
        ),
    ] {
        let ended = device.run(&args);
        assert_eq!(ended.code, 2, "{args:?}");
        assert!(ended.stderr.contains(expected), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn a_bad_line_is_named_and_the_others_are_stored() {
    let device = Device::new();
    let mut input = b"{\"process\":\"default/a\"}\n\n{\"process\":\"default/a\",\"pid\":\"x\"}\n".to_vec();
    input.extend(
        [
            b"{\"process\":\"default/b\",\"message\":\"",
            "m".repeat(70_000).as_bytes(),
            b"\"}\n",
        ]
        .concat(),
    );
    input.extend(b"\xff\n{\"process\":\"default/c\",\"seq\":99}");
    let ended = device.feed(&["observe", "--stdin"], &input);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, "1-2\n"));
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert!(lines[0].starts_with("line 3: pid: "), "{lines:?}");
    assert_eq!(lines[1], "line 4: longer than 65536 bytes");
    assert!(lines[2].starts_with("line 5: "), "{lines:?}");
    assert_eq!(lines[3], "error: 3 of 6 lines were not stored");
    let processes: Vec<_> = device
        .json(&["queue", "list", "--json"])
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(
        processes
            .iter()
            .map(|row| row["process"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["default/a", "default/c"]
    );
}

#[test]
fn a_pipe_that_pauses_does_not_hold_lines_back() {
    let device = Device::new();
    let mut child = device
        .command(&["observe", "--stdin"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    // The next line has begun already; that must not hold back the complete one.
    stdin
        .write_all(b"{\"process\":\"default/a\"}\n{\"process\"")
        .unwrap();
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "1\n");
    assert_eq!(device.json(&["queue", "stats", "--json"])["rows"], 1);
    stdin.write_all(b":\"default/b\"}\n").unwrap();
    drop(stdin);
    line.clear();
    stdout.read_line(&mut line).unwrap();
    assert_eq!((line.as_str(), child.wait().unwrap().code()), ("2\n", Some(0)));
}

#[test]
fn what_was_printed_survives_a_kill_at_any_moment() {
    let device = Device::new();
    let args = ["observe", "--stdin", "--queue-max-rows", "1000000"];
    let mut promised = 0;
    for round in 1..=6 {
        let mut child = device.command(&args).stdin(Stdio::piped()).spawn().unwrap();
        let (mut stdin, stdout) = (
            child.stdin.take().unwrap(),
            BufReader::new(child.stdout.take().unwrap()),
        );
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let line = b"{\"process\":\"default/a\"}\n".repeat(1_000);
                while stdin.write_all(&line).is_ok() {}
            });
            // Killed in the middle of what follows: reading, storing, syncing or printing.
            let last = stdout.lines().nth(round % 3).unwrap().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            promised = last.rsplit('-').next().unwrap().parse().unwrap();
        });
        let stats = device.json(&["queue", "stats", "--json"]);
        assert!(
            stats["rows"].as_u64().unwrap() >= promised,
            "{stats}, promised {promised}"
        );
        let listed = device.database().query_row(
            "SELECT count(*) = max(seq) AND count(*) = (SELECT pending_rows FROM queue_head) FROM observation",
            [],
            |row| row.get(0),
        );
        assert_eq!(listed, Ok(true), "whole transactions or nothing");
    }
}

#[test]
fn what_is_exported_can_be_read_back_in() {
    let device = Device::new();
    let lines: String = (0..5_000)
        .map(|n| {
            format!(
                "{{\"process\":\"default/p{}\",\"observedAt\":\"2026-11-18T11:06:41.194Z\",\"pid\":{n}}}\n",
                n % 6
            )
        })
        .collect();
    assert_eq!(device.feed(&["observe", "--stdin"], lines.as_bytes()).code, 0);
    let exported = device.run(&["queue", "export"]).stdout;
    let copy = Device::new();
    assert_eq!(copy.feed(&["observe", "--stdin"], exported.as_bytes()).code, 0);
    assert_eq!(copy.run(&["queue", "export"]).stdout, exported);
}

#[test]
fn the_limits_of_the_queue_hold_for_observe_too() {
    let device = Device::new();
    let lines = "{\"process\":\"default/a\"}\n".repeat(5);
    let ended = device.feed(&["observe", "--stdin", "--queue-max-rows", "3"], lines.as_bytes());
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "1-5\n"));
    assert_eq!(device.json(&["queue", "stats", "--json"])["rows"], 3);
    let gaps = device.json(&["queue", "gaps", "--json"]);
    assert_eq!(
        (&gaps[0]["first"], &gaps[0]["last"], &gaps[0]["reason"]),
        (&1.into(), &2.into(), &"QueueFull".into())
    );
    let refused = device.run(&["observe", "--process", "d/a", "--queue-max-bytes", "lots"]);
    assert_eq!(refused.code, 2);
}

#[test]
fn storage_that_cannot_be_used_is_exit_code_4_and_one_line() {
    let device = Device::new();
    fs::create_dir(device.data_dir()).unwrap();
    fs::write(device.data_dir().join("agent.db"), "no database ".repeat(100)).unwrap();
    for args in [
        &["observe", "--process", "d/a"][..],
        &["queue", "stats"],
        &["desired"],
        &["status"],
    ] {
        let ended = device.run(args);
        assert_eq!(
            (ended.code, ended.stderr.lines().count()),
            (4, 1),
            "{args:?}: {}",
            ended.stderr
        );
        assert!(ended.stderr.contains("agent.db is damaged"), "{}", ended.stderr);
    }
}
