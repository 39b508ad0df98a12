//! What observations of a run say besides its state: its process id, and why it was stopped (S-09).

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, and uses the part of the bench it needs"
)]

#[path = "supervise_rules/bench.rs"]
mod bench;

use apollo_agent_core::{
    supervise::{DesiredItem, Effect, Event, Exit, Observed, RunId, SpecDefect},
    time::Monotonic,
};
use bench::{Bench, item, process, simple};

/// The process id the bench gives to every run.
const PID: Option<u32> = Some(100);

fn observations(bench: &mut Bench, event: Event) -> Vec<Observed> {
    bench
        .supervisor
        .handle(event, Monotonic::from_millis(bench.now_ms));
    let effects = std::iter::from_fn(|| bench.supervisor.poll_effect());
    let observed = |effect| match effect {
        Effect::Observe(observed) => Some(observed),
        _ => None,
    };
    effects.filter_map(observed).collect()
}

fn exited(run: u64) -> Event {
    Event::Exited {
        process: process("a"),
        run: RunId(run),
        exit: Exit::Code(1),
        last_output: None,
    }
}

fn invalid() -> DesiredItem {
    let defect = SpecDefect {
        field: "spec.command".to_owned(),
        problem: "expected a program".to_owned(),
    };
    DesiredItem {
        spec: Err(defect),
        ..item("a", 2, 2, |_| {})
    }
}

#[test]
fn the_start_and_the_end_of_a_run_name_its_process_id() {
    let mut bench = Bench::new();
    bench.desire([simple("a")]);
    let spawned = Event::Spawned {
        process: process("a"),
        run: RunId(1),
        pid: 100,
    };
    assert_eq!(observations(&mut bench, spawned)[0].pid, PID);
    assert_eq!(observations(&mut bench, exited(1))[0].pid, PID);
}

#[test]
fn the_end_of_a_stopped_run_names_its_process_id() {
    let mut bench = Bench::running([simple("a")]);
    bench.handle(Event::Shutdown);
    assert_eq!(observations(&mut bench, exited(1))[0].pid, PID);
    let mut bench = Bench::running([simple("a")]);
    bench.handle(Event::Shutdown);
    bench.wait();
    assert_eq!(
        observations(&mut bench, exited(1))[0].pid,
        PID,
        "after its SIGKILL"
    );
}

#[test]
fn a_stop_for_a_bad_spec_keeps_its_meaning_when_the_agent_ends() {
    let mut bench = Bench::running([simple("a")]);
    assert_eq!(bench.desire([invalid()]), ["term a"]);
    bench.handle(Event::Shutdown);
    assert_eq!(
        bench.exited("a", 1, Exit::Code(0)),
        [
            "a Failed SpecInvalid spec=2 exit=0 \"spec.command: expected a program\"",
            "all stopped"
        ]
    );
}

#[test]
fn a_bad_spec_taken_back_while_stopping_is_not_spoken_of() {
    let mut bench = Bench::running([simple("a")]);
    assert_eq!(bench.desire([invalid()]), ["term a"]);
    assert_eq!(bench.desire([]), [] as [&str; 0]);
    assert_eq!(
        bench.exited("a", 1, Exit::Code(0)),
        ["a Stopped Removed spec=1 exit=0", "forget a"]
    );
}
