//! Plans that once broke a rule, each kept as small as it could be made. They break none any more.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;

use apollo_sim::{plan::Plan, run, sabotage::Sabotage};

fn holds(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("regressions")
        .join(name);
    let text = std::fs::read_to_string(&path).expect(name);
    let plan: Plan = serde_json::from_str(&text).expect(name);
    let violation = run::run(&plan, Sabotage::None).violation;
    assert_eq!(
        violation, None,
        "replay: cargo run -p apollo-sim -- --trace --plan tests/sim/regressions/{name}"
    );
}

/// Seed 48: a clone's observations lay under sequences that the original had settled, and were refused by then because of
/// their time. They were acknowledged as duplicates, and lost.
#[test]
fn r01_r10_refused_rows_of_a_copy_are_not_duplicates() {
    holds("refused-rows-of-a-copy.json");
}

/// Seed 1801: an exchange was cut off between history and status; when its rows came again their time was refused, and they
/// were acknowledged without ever having become the status.
#[test]
fn r03_rows_settled_by_half_become_the_status_although_refused_now() {
    holds("settled-by-half-then-refused.json");
}

/// Seed 4246: a machine was copied, renewed its instance, and was put back to an image that had the new instance as well.
/// The agent took the second sign of a copy for nonsense, for ever.
#[test]
fn r11_a_queue_copied_again_before_its_new_instance_was_answered_is_not_stuck() {
    holds("copied-again-before-an-answer.json");
}

/// Seed 77, when a queue of writes took a part of a request and refused the rest: a device that came back had four of five
/// processes told so, and repairs undid it each time before it came to its end.
#[test]
fn r11_a_device_with_more_processes_than_places_left_comes_back() {
    holds("part-of-a-request-refused.json");
}
