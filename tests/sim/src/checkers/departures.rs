//! a row leaves a queue by a settlement only if a gateway named it in a verdict for that very instance.

use std::collections::{BTreeMap, BTreeSet};

use apollo_wire::{DeviceName, InstanceId, Sequence};

use super::{Checker, Verdict, hold};
use crate::facts::{Departure, Fact, Operation, TimedFact, Transaction};

/// Everything that gateways have said.
#[derive(Default)]
pub(super) struct Departures {
    acked: BTreeMap<(DeviceName, InstanceId), BTreeSet<Sequence>>,
    rejected: BTreeMap<(DeviceName, InstanceId), BTreeSet<Sequence>>,
}

impl Checker for Departures {
    fn on_fact(&mut self, fact: &TimedFact) -> Verdict {
        match &fact.fact {
            Fact::Verdicts {
                device,
                instance,
                acked,
                rejected,
                ..
            } => {
                let life = (device.clone(), *instance);
                let named = acked.iter().flat_map(|range| range.first..=range.last);
                self.acked.entry(life.clone()).or_default().extend(named);
                let named = rejected.iter().map(|rejection| rejection.seq);
                self.rejected.entry(life).or_default().extend(named);
                Ok(())
            }
            Fact::Queue(transaction) => self.on_transaction(fact.at_ms, transaction),
            _ => Ok(()),
        }
    }
}

impl Departures {
    fn on_transaction(&self, at_ms: u64, transaction: &Transaction) -> Verdict {
        let life = (transaction.device.clone(), transaction.instance_before);
        let is_in = |said: &BTreeMap<_, BTreeSet<Sequence>>, sequence| {
            said.get(&life)
                .is_some_and(|sequences: &BTreeSet<Sequence>| sequences.contains(&sequence))
        };
        for (sequence, token, how) in &transaction.departed {
            let machine = transaction.machine;
            let is_named = match (transaction.operation, how) {
                (Operation::Settle, Departure::Gone) => is_in(&self.acked, *sequence),
                (Operation::Settle, Departure::Buried) => is_in(&self.rejected, *sequence),
                // What leaves for want of room, by hand, damaged or renumbered is accounted for elsewhere.
                (Operation::Append | Operation::ByHand | Operation::Renew, Departure::Gone) => true,
                (Operation::Take, Departure::Gone) => transaction
                    .gaps
                    .iter()
                    .any(|gap| (gap.first..=gap.last).contains(sequence)),
                (_, _) => false,
            };
            hold(is_named, "R-02", at_ms, || {
                format!(
                    "machine {machine}: row {sequence} (o{token}) left by {:?} as {how:?}, and no verdict names it",
                    transaction.operation
                )
            })?;
        }
        Ok(())
    }
}
