//! One history, for people.

use std::process::ExitCode;

use crate::{plan::Plan, run, sabotage::Sabotage};

/// Runs a plan and prints what came of it.
#[expect(clippy::print_stdout, reason = "a command line program")]
pub(super) fn run(plan: &Plan, trace: bool, shrink: bool) -> anyhow::Result<ExitCode> {
    let outcome = run::run(plan, Sabotage::None);
    let mut plan = plan.clone();
    if let (Some(violation), true) = (&outcome.violation, shrink) {
        plan = run::shrink_to(&plan, violation.rule, Sabotage::None);
        println!("{}", serde_json::to_string_pretty(&plan)?);
    }
    if trace || shrink {
        let traced = run::run_traced(&plan, Sabotage::None);
        traced.trace.iter().for_each(|line| println!("{line}"));
    }
    println!(
        "{} actions, {:.1} hours",
        plan.actions.len(),
        hours(outcome.length_ms)
    );
    Ok(match outcome.violation {
        Some(violation) => {
            println!("VIOLATION of {violation}");
            ExitCode::FAILURE
        }
        None => {
            println!("no rule was broken");
            ExitCode::SUCCESS
        }
    })
}

/// Virtual time in hours.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(super) fn hours(ms: u64) -> f64 {
    ms as f64 / 3_600_000.0
}
