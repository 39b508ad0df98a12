//! Documents that contradict what is known, cannot be run, or ask for too much (S-06, S-07, S-08).

use std::time::Duration;

use apollo_agent_core::supervise::{DesiredItem, Event, Exit, Limits, SpecDefect};

use crate::bench::{Bench, item, simple};

#[test]
fn an_older_generation_is_refused_until_it_has_stood_for_a_while() {
    let mut bench = Bench::running([item("a", 5, 5, |_| {})]);
    let older = || [item("a", 4, 4, |_| {})];
    assert_eq!(
        bench.desire(older()),
        ["a - StaleGeneration spec=4 \"generation 4 after 5\""]
    );
    assert_eq!(bench.desire(older()), [] as [&str; 0], "said once");
    bench.now_ms = 119_999;
    assert_eq!(bench.handle(Event::TimerFired), [] as [&str; 0]);
    assert_eq!(bench.desire([item("a", 5, 5, |_| {})]), [] as [&str; 0]);
    assert_eq!(bench.supervisor.poll_timeout(), None, "the replica caught up");
    bench.desire(older());
    let (waited, effects) = bench.wait();
    assert_eq!(
        (waited, effects),
        (Duration::from_secs(120), vec!["term a".to_owned()])
    );
}

#[test]
fn an_equal_generation_with_another_spec_is_reported_and_held() {
    let mut bench = Bench::running([item("a", 1, 1, |_| {})]);
    let conflicting = [item("a", 1, 9, |_| {})];
    assert_eq!(
        bench.desire(conflicting),
        ["a - GenerationConflict spec=9 \"another spec for generation 1\""]
    );
    assert_eq!(
        bench.desire([item("a", 2, 2, |_| {})]),
        ["term a"],
        "a higher one ends the doubt"
    );
}

#[test]
fn an_invalid_spec_is_reported_by_field_and_holds_up_nobody() {
    let defect = SpecDefect {
        field: "spec.env[0].name".to_owned(),
        problem: "expected a name without '='".to_owned(),
    };
    let invalid = DesiredItem {
        spec: Err(defect),
        ..item("bad", 2, 2, |_| {})
    };
    let mut bench = Bench::new();
    assert_eq!(
        bench.desire([invalid.clone(), simple("good")]),
        [
            "bad Failed SpecInvalid spec=2 \"spec.env[0].name: expected a name without '='\"",
            "spawn good #1"
        ]
    );
    let mut bench = Bench::running([simple("bad")]);
    assert_eq!(
        bench.desire([invalid]),
        ["term bad"],
        "what runs is no longer what is asked for"
    );
    let said = bench.exited("bad", 1, Exit::Code(0));
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with("bad Failed SpecInvalid spec=2 exit=0 "),
        "{said:?}"
    );
}

#[test]
fn a_document_at_the_limit_is_taken_whole_and_one_past_it_in_part() {
    let limits = Limits {
        processes: 2,
        ..Limits::default()
    };
    let three = || [simple("a"), simple("b"), simple("c")];
    assert_eq!(
        Bench::with(limits).desire(three()[..2].to_vec()),
        ["spawn a #1", "spawn b #2"]
    );
    assert_eq!(
        Bench::with(limits).desire(three()),
        ["left out 1", "spawn a #1", "spawn b #2"]
    );
}

#[test]
fn a_process_named_twice_runs_once() {
    assert_eq!(
        Bench::new().desire([simple("a"), item("a", 2, 2, |_| {})]),
        ["spawn a #1"]
    );
}
