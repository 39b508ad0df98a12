//! A run that lives on after SIGKILL (S-02): it hangs in the kernel, on a disk or a file server that does not answer.

use std::time::Duration;

use apollo_agent_core::supervise::{Effect, Event, Exit, Limits, Observed, Reason};

use crate::bench::{Bench, item, simple};

/// A process that was removed, and killed after its grace; another one is wanted.
fn killed() -> Bench {
    let mut bench = Bench::running([simple("old")]);
    assert_eq!(bench.desire([simple("new")]), ["term old"]);
    assert_eq!(bench.wait().1, ["kill old"]);
    bench
}

#[test]
fn an_addition_waits_for_a_killed_removal_and_not_longer_than_the_limit() {
    let mut bench = killed();
    assert_eq!(
        bench.wait(),
        (
            Limits::default().kill_wait,
            vec!["old - Unkillable spec=1".to_owned(), "spawn new #2".to_owned()]
        )
    );
    assert_eq!(bench.supervisor.poll_timeout(), None, "told once");
    bench.spawned("new", 2);
    assert_eq!(
        bench.exited("old", 1, Exit::Signal(9)),
        ["old Stopped Removed spec=1 exit=137", "forget old"]
    );
}

#[test]
fn a_removal_that_dies_within_the_limit_is_not_reported() {
    let mut bench = killed();
    bench.now_ms += 29_999;
    assert_eq!(
        bench.exited("old", 1, Exit::Signal(9)),
        [
            "old Stopped Removed spec=1 exit=137",
            "forget old",
            "spawn new #2"
        ]
    );
    assert_eq!(bench.supervisor.poll_timeout(), None);
}

#[test]
fn a_process_waits_for_its_own_old_run_however_long() {
    let mut bench = Bench::running([item("a", 1, 1, |spec| spec.stop_grace_period_seconds = 1)]);
    bench.desire([item("a", 2, 2, |_| {})]);
    assert_eq!(bench.wait(), (Duration::from_secs(1), vec!["kill a".to_owned()]));
    assert_eq!(bench.wait().1, ["a - Unkillable spec=1"]);
    assert_eq!(
        bench.exited("a", 1, Exit::Signal(9)),
        ["a Pending Replaced spec=1 exit=137", "spawn a #2"]
    );
}

#[test]
fn the_report_of_one_that_lives_on_names_its_pid() {
    let mut bench = killed();
    let at = bench.supervisor.poll_timeout().expect("the limit is waited for");
    bench.supervisor.handle(Event::TimerFired, at);
    let told = std::iter::from_fn(|| bench.supervisor.poll_effect()).find_map(|effect| match effect {
        Effect::Observe(Observed {
            reason: Reason::Unkillable,
            pid,
            ..
        }) => Some(pid),
        _ => None,
    });
    assert_eq!(told, Some(Some(100)));
}
