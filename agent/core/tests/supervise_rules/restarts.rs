//! When a process is started, and what follows the end of a run: restart policy, backoff, starts that fail (S-10).

use std::time::Duration;

use apollo_agent_core::supervise::Exit;
use apollo_wire::RestartPolicy;

use crate::bench::{Bench, item, simple};

#[test]
fn a_desired_process_is_started_and_reported_once() {
    let mut bench = Bench::new();
    assert_eq!(bench.desire([simple("a")]), ["spawn a #1"]);
    assert_eq!(bench.spawned("a", 1), ["a Running Started spec=1"]);
    assert_eq!(bench.desire([simple("a")]), [] as [&str; 0]);
    assert_eq!(bench.supervisor.poll_timeout(), None);
}

#[test]
fn the_restart_policy_decides_what_follows_an_exit() {
    use RestartPolicy::{Always, Never, OnFailure};
    for (policy, exit, expected) in [
        (Always, Exit::Code(0), "a Backoff BackingOff spec=1 exit=0"),
        (
            Always,
            Exit::Code(3),
            "a Backoff BackingOff spec=1 exit=3 \"last words\"",
        ),
        (OnFailure, Exit::Code(0), "a Succeeded Exited spec=1 exit=0"),
        (
            OnFailure,
            Exit::Signal(9),
            "a Backoff BackingOff spec=1 exit=137 \"last words\"",
        ),
        (Never, Exit::Code(0), "a Succeeded Exited spec=1 exit=0"),
        (
            Never,
            Exit::Signal(15),
            "a Failed Exited spec=1 exit=143 \"last words\"",
        ),
    ] {
        let mut bench = Bench::running([item("a", 1, 1, |spec| spec.restart_policy = policy)]);
        assert_eq!(bench.exited("a", 1, exit), [expected], "{policy:?} {exit:?}");
    }
}

#[test]
fn a_crash_loop_waits_longer_each_time_up_to_the_cap_and_says_so() {
    let mut bench = Bench::running([simple("a")]);
    let mut reasons = Vec::new();
    for run in 1..=12 {
        let said = bench.exited("a", run, Exit::Code(1));
        reasons.push(said[0].split(' ').nth(2).unwrap().to_owned());
        let (waited, effects) = bench.wait();
        let step = Duration::from_secs(1 << (run - 1).min(20)).min(Duration::from_secs(300));
        assert!(waited >= step / 2 && waited <= step, "run {run}: {waited:?}");
        assert_eq!(effects, [format!("spawn a #{}", run + 1)]);
        assert_eq!(
            bench.spawned("a", run + 1),
            [format!("a Running Started spec=1 restarts={run}")]
        );
    }
    assert_eq!(reasons[..3], ["BackingOff", "BackingOff", "CrashLoop"]);
}

#[test]
fn a_run_that_lived_long_enough_resets_the_backoff_and_one_a_millisecond_shorter_does_not() {
    let healthy_ms = 600_000;
    for (lived_ms, longest_wait_seconds) in [(healthy_ms, 1), (healthy_ms - 1, 8)] {
        let mut bench = Bench::running([simple("a")]);
        for run in 1..=3 {
            bench.exited("a", run, Exit::Code(1));
            bench.wait();
            bench.spawned("a", run + 1);
        }
        bench.now_ms += lived_ms;
        bench.exited("a", 4, Exit::Code(1));
        let (waited, _) = bench.wait();
        let longest = Duration::from_secs(longest_wait_seconds);
        assert!(
            waited >= longest / 2 && waited <= longest,
            "{lived_ms}: {waited:?}"
        );
    }
}

#[test]
fn a_failed_start_is_tried_again_unless_that_cannot_help() {
    let mut bench = Bench::new();
    bench.desire([simple("a")]);
    assert_eq!(
        bench.failed_to_spawn("a", 1, false),
        ["a Backoff SpawnFailed spec=1 \"no such file\""]
    );
    assert_eq!(bench.wait().1, ["spawn a #2"]);
    assert_eq!(
        bench.failed_to_spawn("a", 2, true),
        ["a Failed SpawnFailed spec=1 restarts=1 \"no such file\""]
    );
    let mut once = Bench::new();
    once.desire([item("a", 1, 1, |spec| spec.restart_policy = RestartPolicy::Never)]);
    assert_eq!(
        once.failed_to_spawn("a", 1, false),
        ["a Failed SpawnFailed spec=1 \"no such file\""]
    );
}
