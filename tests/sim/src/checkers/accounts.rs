//! every observation that was ever stored is, in the end, in history exactly once, a dead letter with its
//! reason, or part of a gap record that arrived; it may be lost or doubled only where somebody put an old disk image back
//! or copied a machine.

use std::collections::{BTreeMap, BTreeSet};

use apollo_wire::{Clock, DeviceName, Gap, InstanceId, Observation, Sequence};

use super::{Checker, End, Verdict, broken, hold};
use crate::{
    agent::token_of,
    facts::{Departure, Fact, MachineId, Operation, TimedFact, Token, Transaction},
};

type Life = (DeviceName, InstanceId);

/// What became of every observation, as far as it can be told from the facts.
#[derive(Default)]
pub(super) struct Accounts {
    stored: BTreeSet<Token>,
    /// Rightly nowhere.
    excused: BTreeSet<Token>,
    /// On more than one disk once: an old image was put back, a machine was copied.
    copied: BTreeSet<Token>,
    /// Machines that may find that they are a copy.
    copies: BTreeSet<MachineId>,
    /// Rows that left without a verdict, still named by a gap record of their machine.
    lost: BTreeMap<MachineId, BTreeMap<Sequence, Token>>,
    gaps: BTreeMap<MachineId, Vec<Gap>>,
    history: BTreeMap<Life, BTreeSet<Sequence>>,
    arrived_gaps: BTreeMap<Life, Vec<Gap>>,
}

impl Checker for Accounts {
    fn on_fact(&mut self, fact: &TimedFact) -> Verdict {
        match &fact.fact {
            Fact::Queue(transaction) => self.on_transaction(fact.at_ms, transaction),
            Fact::Appended {
                device,
                instance,
                rows,
                gaps,
                ..
            } => {
                let life = (device.clone(), *instance);
                let sequences = rows.iter().map(|row| row.sequence);
                self.history.entry(life.clone()).or_default().extend(sequences);
                self.arrived_gaps.entry(life).or_default().extend(gaps);
                Ok(())
            }
            Fact::RolledBack {
                machine,
                lost,
                restored,
                gaps,
                ..
            } => {
                // What a gap record was still to tell went with the disk.
                let untold = self.lost.remove(machine).unwrap_or_default();
                self.excused.extend(untold.into_values());
                self.excused.extend(lost);
                self.copied.extend(restored);
                self.copies.insert(*machine);
                self.gaps.insert(*machine, gaps.clone());
                Ok(())
            }
            Fact::Cloned {
                machine,
                from,
                copied,
                gaps,
                ..
            } => {
                self.copied.extend(copied);
                self.copies.extend([*machine, *from]);
                self.gaps.insert(*machine, gaps.clone());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn at_end(&mut self, end: &End<'_>) -> Verdict {
        let mut places: BTreeMap<Token, u32> = BTreeMap::new();
        for (device, instance, entry) in end.store.history.rows() {
            let token = token_of(&entry.row.observation);
            *places.entry(token).or_default() += 1;
            let original = end.originals.get(&token);
            hold(
                original.is_some_and(|original| is_same(original, &entry.row.observation)),
                "R-01",
                end.at_ms,
                || {
                    format!(
                        "history of {device} {instance} has another observation than was made: {:?} {original:?}",
                        entry.row.observation
                    )
                },
            )?;
        }
        let mut elsewhere: BTreeSet<Token> = BTreeSet::new();
        for machine in end.machines {
            elsewhere.extend(
                machine
                    .queue
                    .dead_letters()
                    .map(|letter| token_of(&letter.observation)),
            );
            // Whether what is pending waits too long is somebody else's question.
            elsewhere.extend(machine.queue.observations().map(token_of));
            if machine.is_gone {
                elsewhere.extend(self.lost.remove(&machine.id).unwrap_or_default().into_values());
            }
        }
        for token in &self.stored {
            let times = places.get(token).copied().unwrap_or(0);
            let found = times > 0 || elsewhere.contains(token) || self.excused.contains(token);
            hold(found, "R-01", end.at_ms, || {
                format!(
                    "observation o{token} was stored and is nowhere: {:?}",
                    end.originals.get(token)
                )
            })?;
            hold(
                times <= 1 || self.copied.contains(token),
                "R-10",
                end.at_ms,
                || format!("observation o{token} is {times} times in history, and was never copied"),
            )?;
        }
        match self.lost.values().flat_map(BTreeMap::iter).next() {
            Some((sequence, token)) => broken(
                "R-09",
                end.at_ms,
                format!("row {sequence} (o{token}) was dropped, and its gap record has not arrived"),
            ),
            None => Ok(()),
        }
    }
}

impl Accounts {
    fn on_transaction(&mut self, at_ms: u64, transaction: &Transaction) -> Verdict {
        let machine = transaction.machine;
        let renewed = transaction.instance != transaction.instance_before;
        hold(!renewed || self.copies.contains(&machine), "R-10", at_ms, || {
            format!("machine {machine} started a new instance, and was never copied or put back")
        })?;
        let came: BTreeSet<Token> = transaction.arrived.iter().map(|(_, token)| *token).collect();
        self.stored.extend(&came);
        // A refused row that is put back may have been recorded on its way, and be taken when it is sent again.
        let put_back = transaction.exhumed.iter().filter(|token| came.contains(token));
        self.copied.extend(put_back);
        let gone = transaction.exhumed.iter().filter(|token| !came.contains(token));
        self.excused.extend(gone);
        if renewed {
            self.renumber(transaction);
            // A copy cannot know which of its rows arrived under the old instance.
            self.copied.extend(&came);
        }
        for (sequence, token, how) in &transaction.departed {
            let settled = transaction.operation == Operation::Settle || *how == Departure::Buried;
            if settled || came.contains(token) {
                continue;
            }
            hold(is_in(&transaction.gaps, *sequence), "R-09", at_ms, || {
                format!("machine {machine}: row {sequence} (o{token}) left and no gap record says so")
            })?;
            self.lost.entry(machine).or_default().insert(*sequence, *token);
        }
        self.gaps.insert(machine, transaction.gaps.clone());
        self.forget_told(at_ms, transaction)
    }

    /// Gap records move with the rows when an instance is renewed.
    fn renumber(&mut self, transaction: &Transaction) {
        let first = |gaps: &[Gap]| gaps.first().map(|gap| gap.first);
        let before = self.gaps.get(&transaction.machine).and_then(|gaps| first(gaps));
        let (Some(before), Some(after)) = (before, first(&transaction.gaps)) else {
            return;
        };
        let moved = self.lost.remove(&transaction.machine).unwrap_or_default();
        let moved = moved
            .into_iter()
            .map(|(sequence, token)| (sequence + after - before, token));
        self.lost.insert(transaction.machine, moved.collect());
    }

    /// Lost rows that no gap record names any more must have arrived, or the record that named them.
    fn forget_told(&mut self, at_ms: u64, transaction: &Transaction) -> Verdict {
        let Some(lost) = self.lost.get_mut(&transaction.machine) else {
            return Ok(());
        };
        let life = (transaction.device.clone(), transaction.instance);
        let told: Vec<(Sequence, Token)> = lost
            .iter()
            .filter(|(sequence, _)| !is_in(&transaction.gaps, **sequence))
            .map(|(sequence, token)| (*sequence, *token))
            .collect();
        for (sequence, token) in told {
            lost.remove(&sequence);
            let gap_arrived = self
                .arrived_gaps
                .get(&life)
                .is_some_and(|gaps| is_in(gaps, sequence));
            let row_arrived = self
                .history
                .get(&life)
                .is_some_and(|rows| rows.contains(&sequence));
            hold(gap_arrived || row_arrived, "R-09", at_ms, || {
                format!("row {sequence} (o{token}) was dropped; its gap record is gone and has not arrived")
            })?;
            self.excused.insert(token);
        }
        Ok(())
    }
}

fn is_in(gaps: &[Gap], sequence: Sequence) -> bool {
    gaps.iter().any(|gap| (gap.first..=gap.last).contains(&sequence))
}

/// The same but for its number, and for what another boot makes of a clock that ran free.
fn is_same(original: &Observation, kept: &Observation) -> bool {
    let clock_holds =
        original.clock == kept.clock || (original.clock == Clock::Unsynced && kept.clock == Clock::Unknown);
    let as_kept = Observation {
        seq: kept.seq,
        clock: kept.clock,
        ..original.clone()
    };
    clock_holds && as_kept == *kept
}
