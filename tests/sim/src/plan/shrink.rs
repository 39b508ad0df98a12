//! Making a failing plan small: delta debugging over the actions (Zeller and Hildebrandt, "Simplifying and Isolating
//! Failure-Inducing Input", 2002).

use super::Plan;

/// Most runs one shrinking may take: a run is some hundredths of a second, and a plan has at most a hundred actions.
const RUNS_MAX: usize = 2_000;

/// The smallest plan found that `still_fails`, by leaving out actions in ever smaller pieces until no single one can go.
pub fn shrink(plan: &Plan, mut still_fails: impl FnMut(&Plan) -> bool) -> Plan {
    let mut smallest = plan.clone();
    let mut piece = smallest.actions.len().div_ceil(2).max(1);
    let mut runs = 0;
    loop {
        let mut removed_any = false;
        let mut from = 0;
        while from < smallest.actions.len() && runs < RUNS_MAX {
            let mut candidate = smallest.clone();
            let to = (from + piece).min(candidate.actions.len());
            candidate.actions.drain(from..to);
            runs += 1;
            if still_fails(&candidate) {
                smallest = candidate;
                removed_any = true;
            } else {
                from += piece;
            }
        }
        if runs >= RUNS_MAX || (piece == 1 && !removed_any) {
            return smallest;
        }
        if !removed_any {
            piece = piece.div_ceil(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, generate};

    #[test]
    fn only_what_the_failure_needs_is_left() {
        let mut plan = generate(3);
        plan.actions.iter_mut().enumerate().for_each(|(at, timed)| {
            timed.action = Action::Delete { process: at };
        });
        let needed = [2, 7];
        let has = |plan: &Plan, process: usize| {
            plan.actions
                .iter()
                .any(|timed| timed.action == Action::Delete { process })
        };
        let small = shrink(&plan, |candidate| {
            needed.iter().all(|process| has(candidate, *process))
        });
        assert_eq!(small.actions.len(), 2, "{small:?}");
    }
}
