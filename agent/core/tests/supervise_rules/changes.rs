//! A spec that changes, and plans overtaken by newer ones (S-03, S-04, S-05).

use std::time::Duration;

use apollo_agent_core::supervise::Exit;

use crate::bench::{Bench, item, simple};

#[test]
fn a_changed_spec_stops_the_old_run_before_the_new_one_starts() {
    let mut bench = Bench::running([item("a", 1, 1, |spec| spec.stop_grace_period_seconds = 3)]);
    assert_eq!(bench.desire([item("a", 2, 2, |_| {})]), ["term a"]);
    assert_eq!(
        bench.wait(),
        (Duration::from_secs(3), vec!["kill a".to_owned()]),
        "the old run's grace"
    );
    assert_eq!(
        bench.exited("a", 1, Exit::Signal(9)),
        ["a Pending Replaced spec=1 exit=137", "spawn a #2"]
    );
    assert_eq!(bench.spawned("a", 2), ["a Running Started spec=2"]);
}

#[test]
fn an_end_that_was_asked_for_is_no_crash_of_the_new_spec() {
    let mut bench = Bench::running([simple("a")]);
    bench.desire([item("a", 2, 2, |_| {})]);
    bench.exited("a", 1, Exit::Signal(15));
    let mut reasons = Vec::new();
    for run in 2..5 {
        bench.spawned("a", run);
        reasons.extend(bench.exited("a", run, Exit::Code(1)));
        let (waited, _) = bench.wait();
        assert!(waited <= Duration::from_secs(1 << (run - 2)), "{waited:?}");
    }
    let word = |said: &String| said.split(' ').nth(2).unwrap().to_owned();
    let words: Vec<_> = reasons.iter().map(word).collect();
    assert_eq!(words, ["BackingOff", "BackingOff", "CrashLoop"]);
}

#[test]
fn a_newer_generation_of_the_same_spec_disturbs_nothing() {
    let mut bench = Bench::running([item("a", 1, 1, |_| {})]);
    assert_eq!(bench.desire([item("a", 2, 1, |_| {})]), [] as [&str; 0]);
    assert_eq!(
        bench.desire([item("a", 1, 1, |_| {})]).len(),
        1,
        "and is known from then on"
    );
}

#[test]
fn a_change_overtaken_while_stopping_never_runs() {
    let mut bench = Bench::running([simple("a")]);
    assert_eq!(bench.desire([item("a", 2, 2, |_| {})]), ["term a"]);
    assert_eq!(bench.desire([item("a", 3, 3, |_| {})]), [] as [&str; 0]);
    assert_eq!(
        bench.exited("a", 1, Exit::Code(0)),
        ["a Pending Replaced spec=1 exit=0", "spawn a #2"]
    );
    assert_eq!(bench.spawned("a", 2), ["a Running Started spec=3"]);
}

#[test]
fn a_removal_taken_back_while_stopping_starts_anew() {
    let mut bench = Bench::running([simple("a")]);
    assert_eq!(bench.desire([]), ["term a"]);
    assert_eq!(bench.desire([simple("a")]), [] as [&str; 0]);
    assert_eq!(
        bench.exited("a", 1, Exit::Code(0)),
        ["a Pending Replaced spec=1 exit=0", "spawn a #2"]
    );
}

#[test]
fn a_run_overtaken_before_it_started_is_stopped_as_soon_as_it_has() {
    let mut bench = Bench::new();
    bench.desire([simple("a")]);
    assert_eq!(bench.desire([]), [] as [&str; 0]);
    assert_eq!(bench.spawned("a", 1), ["term a"]);
    assert_eq!(
        bench.exited("a", 1, Exit::Signal(15)),
        ["a Stopped Removed spec=1 exit=143", "forget a"]
    );
}

#[test]
fn results_of_an_old_run_change_nothing() {
    let mut bench = Bench::running([simple("a")]);
    bench.exited("a", 1, Exit::Code(1));
    bench.wait();
    bench.spawned("a", 2);
    for effects in [
        bench.exited("a", 1, Exit::Code(1)),
        bench.spawned("a", 1),
        bench.spawned("a", 2),
        bench.failed_to_spawn("a", 1, true),
        bench.exited("stranger", 2, Exit::Code(0)),
    ] {
        assert_eq!(effects, [] as [&str; 0]);
    }
}
