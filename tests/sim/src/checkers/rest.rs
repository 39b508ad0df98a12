//! an agent always has something under way or armed, and in the end nothing is left to do.

use std::collections::BTreeMap;

use super::{Checker, End, Verdict, broken, hold};
use crate::{
    agent::token_of,
    facts::{Fact, MachineId, TimedFact, Token},
    plan::Millis,
};

/// Longest that something may wait where nothing is wrong: a sync interval, and whoever stayed away for its gateway's
/// sake.
const AT_MOST_MS: Millis = 10 * 60 * 1_000;

/// Since when things wait.
#[derive(Default)]
pub(super) struct Rest {
    came: BTreeMap<Token, Millis>,
    gaps_changed: BTreeMap<MachineId, Millis>,
}

impl Checker for Rest {
    fn on_fact(&mut self, fact: &TimedFact) -> Verdict {
        match &fact.fact {
            Fact::AgentStuck { machine } => broken(
                "R-11",
                fact.at_ms,
                format!("machine {machine}: nothing runs and no timer is armed, or it spins"),
            ),
            Fact::Queue(transaction) => {
                let came = transaction.arrived.iter().map(|(_, token)| *token);
                for token in came {
                    self.came.entry(token).or_insert(fact.at_ms);
                }
                self.gaps_changed.insert(transaction.machine, fact.at_ms);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn at_end(&mut self, end: &End<'_>) -> Verdict {
        for machine in end.machines.iter().filter(|machine| !machine.is_gone) {
            let id = machine.id;
            hold(machine.is_running, "R-11", end.at_ms, || {
                format!("machine {id}: no agent runs")
            })?;
            let is_old = |since: Option<&Millis>| since.is_none_or(|since| since + AT_MOST_MS < end.at_ms);
            let mut tokens = machine.queue.observations().map(token_of);
            let old = tokens.find(|token| is_old(self.came.get(token)));
            hold(old.is_none(), "R-11", end.at_ms, || {
                format!(
                    "machine {id}: o{} still waits long after all is quiet",
                    old.unwrap_or(0)
                )
            })?;
            let gaps = machine.queue.gaps().len();
            hold(
                gaps == 0 || !is_old(self.gaps_changed.get(&id)),
                "R-11",
                end.at_ms,
                || format!("machine {id}: {gaps} gap records still wait long after all is quiet"),
            )?;
        }
        Ok(())
    }
}
