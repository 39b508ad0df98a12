//! Running plans: one, with a trace or without, or many.

use crate::{
    checkers::Violation,
    counters::Counters,
    plan::{Millis, Plan, shrink},
    sabotage::Sabotage,
    world::World,
};

/// What came of one history.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The first violation, if there was one.
    pub violation: Option<Violation>,
    /// What was met.
    pub counters: Counters,
    /// How long it was, in virtual time.
    pub length_ms: Millis,
    /// What happened, line by line, if it was asked for.
    pub trace: Vec<String>,
}

/// Runs a plan.
pub fn run(plan: &Plan, sabotage: Sabotage) -> Outcome {
    run_world(plan, sabotage, false)
}

/// Runs a plan and writes down what happens.
pub fn run_traced(plan: &Plan, sabotage: Sabotage) -> Outcome {
    run_world(plan, sabotage, true)
}

fn run_world(plan: &Plan, sabotage: Sabotage, trace: bool) -> Outcome {
    let mut world = World::new(plan.clone(), sabotage, trace);
    world.run();
    let context = &mut world.context;
    Outcome {
        violation: context.violation.take(),
        counters: std::mem::take(&mut context.counters),
        length_ms: context.now,
        trace: context.take_trace(),
    }
}

/// The smallest plan found that breaks the same rule.
pub fn shrink_to(plan: &Plan, rule: &str, sabotage: Sabotage) -> Plan {
    shrink(plan, |candidate| {
        run(candidate, sabotage)
            .violation
            .is_some_and(|violation| violation.rule == rule)
    })
}
