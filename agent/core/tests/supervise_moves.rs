//! The whole matrix of states and inputs, against a table that people can read.
//!
//! The table is the contract of `supervise::next`: a move that appears or disappears shows up here as a changed line.
//! To take a wanted change over, copy the table that the failure prints.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use apollo_agent_core::{
    supervise::{Ending, Input, Run, RunId, State, StopGoal, StopPhase, next},
    time::Monotonic,
};
use apollo_wire::SpecHash;

const RUN: Run = Run {
    id: RunId(1),
    spec_hash: SpecHash([1; 8]),
    grace: Duration::from_secs(10),
    restarts: 0,
};
const NOW: Monotonic = Monotonic::from_millis(1_000);

fn stopping(phase: StopPhase) -> State {
    State::Stopping {
        run: RUN,
        phase,
        goal: StopGoal::Suspend,
    }
}

fn states() -> Vec<(&'static str, State)> {
    let kill_at = Monotonic::from_millis(9_000);
    vec![
        ("Pending", State::Pending),
        ("Starting", State::Starting(RUN)),
        (
            "Running",
            State::Running {
                run: RUN,
                pid: 7,
                since: Monotonic::ZERO,
            },
        ),
        ("AwaitSpawn", stopping(StopPhase::AwaitSpawn { grace: RUN.grace })),
        (
            "Terminating",
            stopping(StopPhase::Terminating { pid: 7, kill_at }),
        ),
        ("Killing", stopping(StopPhase::Killing { pid: 7 })),
        ("Backoff", State::Backoff { until: kill_at }),
        ("Succeeded", State::Succeeded),
        ("Failed", State::Failed),
        ("Stopped", State::Stopped),
    ]
}

fn inputs() -> Vec<(&'static str, Input)> {
    let halt = |goal| Input::Halt {
        goal,
        grace: Duration::from_secs(5),
        now: NOW,
    };
    let again = Ending::Again(Monotonic::from_millis(3_000));
    vec![
        ("Start", Input::Start(RUN)),
        ("Spawned", Input::Spawned { pid: 7, now: NOW }),
        ("SpawnFailed again", Input::SpawnFailed(again)),
        ("SpawnFailed failed", Input::SpawnFailed(Ending::Failed)),
        ("Exited again", Input::Exited(again)),
        ("Exited succeeded", Input::Exited(Ending::Succeeded)),
        ("Exited failed", Input::Exited(Ending::Failed)),
        ("Due", Input::Due),
        ("GraceOver", Input::GraceOver),
        ("Halt replace", halt(StopGoal::Replace)),
        ("Halt suspend", halt(StopGoal::Suspend)),
        ("Halt refuse", halt(StopGoal::Refuse)),
        ("Halt remove", halt(StopGoal::Remove)),
        ("Halt shutdown", halt(StopGoal::Shutdown)),
    ]
}

/// A state in one word and its data.
fn written(state: State) -> String {
    match state {
        State::Running { since, .. } => format!("Running since {}", since.as_millis()),
        State::Starting(_) => "Starting".to_owned(),
        State::Backoff { until } => format!("Backoff until {}", until.as_millis()),
        State::Stopping { phase, goal, .. } => match phase {
            StopPhase::AwaitSpawn { grace } => format!("AwaitSpawn {}s {goal:?}", grace.as_secs()),
            StopPhase::Terminating { kill_at, .. } => {
                format!("Terminating to {} {goal:?}", kill_at.as_millis())
            }
            StopPhase::Killing { .. } => format!("Killing {goal:?}"),
        },
        rest => format!("{rest:?}"),
    }
}

#[test]
fn every_state_takes_exactly_the_inputs_of_the_table() {
    let mut table = String::new();
    for (state_name, state) in states() {
        for (input_name, input) in inputs() {
            let outcome = next(state, input).map_or_else(|_| "-".to_owned(), written);
            table.push_str(format!("{state_name:<12} {input_name:<19} {outcome}").trim_end());
            table.push('\n');
        }
    }
    assert_eq!(
        table,
        include_str!("supervise_moves.txt"),
        "the table of moves is now:\n{table}"
    );
}

#[test]
fn a_refused_input_leaves_the_state_and_is_named() {
    let refused = next(State::Succeeded, Input::Due).unwrap_err();
    assert_eq!((refused.state, refused.input), (State::Succeeded, Input::Due));
    assert_eq!(refused.to_string(), "Succeeded has no move for Due");
}

#[test]
fn a_stop_under_way_is_shortened_and_never_prolonged() {
    let halt = |grace| Input::Halt {
        goal: StopGoal::Suspend,
        grace: Duration::from_secs(grace),
        now: NOW,
    };
    let under_way = stopping(StopPhase::Terminating {
        pid: 7,
        kill_at: Monotonic::from_millis(9_000),
    });
    assert_eq!(next(under_way, halt(60)), Ok(under_way));
    let shorter = stopping(StopPhase::Terminating {
        pid: 7,
        kill_at: Monotonic::from_millis(2_000),
    });
    assert_eq!(next(under_way, halt(1)), Ok(shorter));
}
