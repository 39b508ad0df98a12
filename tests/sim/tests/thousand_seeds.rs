//! A thousand histories break no rule, and meet everything that can go wrong.

use apollo_sim::{counters::Counters, plan::generate, run, sabotage::Sabotage};

const SEEDS: u64 = 1_000;

#[test]
fn r01_to_r12_hold_in_a_thousand_histories_that_meet_every_kind_of_fault() {
    let mut counters = Counters::default();
    for seed in 0..SEEDS {
        let outcome = run::run(&generate(seed), Sabotage::None);
        if let Some(violation) = outcome.violation {
            panic!("{violation}\nreplay: cargo run -p apollo-sim -- --seed {seed} --shrink");
        }
        counters.merge(&outcome.counters);
    }
    let never_met = counters.never_met();
    assert!(
        never_met.is_empty(),
        "nothing is proved about what was never met: {never_met:?}"
    );
}

#[test]
fn the_same_seed_makes_the_same_history() {
    for seed in [1, 7, 23] {
        let plan = generate(seed);
        let (first, second) = (
            run::run_traced(&plan, Sabotage::None),
            run::run_traced(&plan, Sabotage::None),
        );
        assert!(first.trace.len() > 100, "{}", first.trace.len());
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.counters, second.counters, "seed {seed}");
    }
}
