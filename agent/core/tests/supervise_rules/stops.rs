//! What is no longer to run: removed, suspended, or stopped with the agent (S-02, S-12).

use std::time::Duration;

use apollo_agent_core::supervise::{Event, Exit};

use crate::bench::{Bench, item, simple};

#[test]
fn a_removal_is_stopped_with_grace_and_an_addition_waits_for_it() {
    let mut bench = Bench::running([simple("old")]);
    assert_eq!(bench.desire([simple("new")]), ["term old"]);
    let (waited, effects) = bench.wait();
    assert_eq!(
        (waited, effects),
        (Duration::from_secs(10), vec!["kill old".to_owned()])
    );
    assert_eq!(
        bench.exited("old", 1, Exit::Signal(9)),
        [
            "old Stopped Removed spec=1 exit=137",
            "forget old",
            "spawn new #2"
        ]
    );
}

#[test]
fn a_restart_does_not_wait_for_the_removal_of_another() {
    let mut bench = Bench::running([simple("a"), simple("old")]);
    bench.exited("a", 1, Exit::Code(1));
    assert_eq!(bench.desire([simple("a")]), ["term old"]);
    assert_eq!(bench.wait().1, ["spawn a #3"]);
}

#[test]
fn suspend_stops_and_its_end_starts_again() {
    let suspended = |generation, hash| item("a", generation, hash, |spec| spec.suspend = true);
    let mut bench = Bench::running([simple("a")]);
    assert_eq!(bench.desire([suspended(2, 2)]), ["term a"]);
    assert_eq!(
        bench.exited("a", 1, Exit::Code(0)),
        ["a Stopped Suspended spec=2 exit=0"]
    );
    assert_eq!(bench.desire([item("a", 3, 3, |_| {})]), ["spawn a #2"]);
    let mut fresh = Bench::new();
    assert_eq!(fresh.desire([suspended(1, 1)]), ["a Stopped Suspended spec=1"]);
}

#[test]
fn shutdown_stops_everything_with_a_capped_grace_and_starts_nothing() {
    let mut bench = Bench::running([
        item("slow", 1, 1, |spec| spec.stop_grace_period_seconds = 3_600),
        simple("crashed"),
    ]);
    bench.exited("crashed", 1, Exit::Code(1));
    assert_eq!(
        bench.handle(Event::Shutdown),
        ["crashed Stopped AgentStopping spec=1", "term slow"]
    );
    assert_eq!(bench.desire([simple("late")]), [] as [&str; 0]);
    assert_eq!(
        bench.wait(),
        (Duration::from_secs(60), vec!["kill slow".to_owned()])
    );
    assert_eq!(
        bench.exited("slow", 2, Exit::Signal(9)),
        ["slow Stopped AgentStopping spec=1 exit=137", "all stopped"]
    );
}

#[test]
fn shutdown_with_nothing_alive_is_complete_at_once() {
    assert_eq!(Bench::new().handle(Event::Shutdown), ["all stopped"]);
}
