//! When a row that comes again is the same observation: then it is a duplicate, and otherwise a sign of two devices
//! with one identity.

mod memory;

use apollo_gateway_core::store::HistoryRow;
use apollo_wire::{Clock, Observation};
use memory::{now, running};

fn row(observation: Observation) -> HistoryRow {
    HistoryRow {
        observation,
        corrected_at: Some(now()),
        orphaned: false,
    }
}

#[test]
fn how_a_clock_was_judged_and_what_the_gateway_made_of_it_makes_no_other_observation() {
    let first = row(running(1, "own"));
    let mut again = row(running(1, "own"));
    again.observation.clock = Clock::Unknown;
    assert_ne!(again.observation.clock, first.observation.clock);
    again.corrected_at = None;
    again.orphaned = true;
    assert!(first.says_the_same(&again) && again.says_the_same(&first));
}

#[test]
fn anything_else_makes_another_observation() {
    let first = row(running(1, "own"));
    let changes: [fn(&mut Observation); 4] = [
        |observation| observation.seq = 2,
        |observation| observation.observed_at = now(),
        |observation| observation.pid = Some(7),
        |observation| observation.message.push('x'),
    ];
    for change in changes {
        let mut other = first.clone();
        change(&mut other.observation);
        assert!(!first.says_the_same(&other), "{other:?}");
    }
}
