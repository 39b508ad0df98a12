//! The checkers can fail: each deliberate defect is seen within a few hundred histories, by the rule it breaks.

#![expect(clippy::panic, reason = "a test fails by panicking")]

use apollo_sim::{plan::generate, run, sabotage::Sabotage};

/// Most histories until a defect must have shown.
const SEEDS: u64 = 300;

fn is_seen(sabotage: Sabotage, rules: &[&str]) {
    for seed in 0..SEEDS {
        if let Some(violation) = run::run(&generate(seed), sabotage).violation {
            assert!(
                rules.contains(&violation.rule),
                "{sabotage:?}, seed {seed}: expected {rules:?}, found {violation}"
            );
            return;
        }
    }
    panic!("{sabotage:?} was not seen in {SEEDS} histories");
}

#[test]
fn r03_a_gateway_that_answers_before_it_has_committed() {
    is_seen(Sabotage::AcknowledgesBeforeCommit, &["R-03"]);
}

#[test]
fn r02_an_agent_that_deletes_without_a_verdict() {
    is_seen(Sabotage::DeletesWithoutVerdict, &["R-02", "R-09"]);
}

#[test]
fn r02_r08_an_agent_that_deletes_refused_rows() {
    is_seen(Sabotage::DropsRefusedRows, &["R-02"]);
}

#[test]
fn r09_an_agent_that_forgets_its_gap_records() {
    is_seen(Sabotage::ForgetsGaps, &["R-09"]);
}

#[test]
fn r05_a_store_that_ignores_versions() {
    is_seen(Sabotage::IgnoresVersions, &["R-05", "R-07", "R-06", "R-04"]);
}

#[test]
fn r05_a_queue_of_writes_that_carries_repairs_over() {
    is_seen(Sabotage::CarriesRepairsOver, &["R-05"]);
}

#[test]
fn r07_a_queue_of_writes_that_ignores_the_binding() {
    is_seen(Sabotage::FoldsWithoutBinding, &["R-07"]);
}

#[test]
fn r10_a_store_that_takes_a_copys_observations_for_duplicates() {
    is_seen(Sabotage::TakesCopiesForDuplicates, &["R-01"]);
}

#[test]
fn r11_an_agent_that_loses_its_timer() {
    is_seen(Sabotage::LosesItsTimer, &["R-11"]);
}
