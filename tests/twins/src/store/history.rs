//! History: a set of observations keyed by (device, instance, sequence). Adding one twice adds it once.

use std::collections::BTreeMap;

use apollo_gateway_core::store::{HistoryRow, OnConflict, StoreReply};
use apollo_wire::{DeviceName, Epoch, Gap, GapReason, InstanceId, Sequence, UnixMillis};

/// One append: all of one report for one instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Append {
    /// Whose.
    pub device: DeviceName,
    /// Which life.
    pub instance: InstanceId,
    /// Its epoch.
    pub epoch: Epoch,
    /// When the gateway received it.
    pub received_at: UnixMillis,
    /// The observations.
    pub rows: Vec<HistoryRow>,
    /// Ranges the device had to drop.
    pub gaps: Vec<Gap>,
    /// What to do about a sequence that is there already.
    pub on_conflict: OnConflict,
}

/// A row with what is kept beside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HistoryEntry {
    /// The observation as it was judged.
    pub row: HistoryRow,
    /// When the gateway received it.
    pub received_at: UnixMillis,
}

type Life = (DeviceName, InstanceId);

/// Observations and gaps of all devices.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct History {
    rows: BTreeMap<Life, BTreeMap<Sequence, HistoryEntry>>,
    gaps: BTreeMap<Life, BTreeMap<(Sequence, Sequence), GapReason>>,
    epochs: BTreeMap<Life, Epoch>,
}

impl History {
    /// Adds what is not there yet, or nothing at all where a row that must say the same does not.
    pub fn append(&mut self, append: Append) -> StoreReply {
        let life = (append.device, append.instance);
        if append.on_conflict == OnConflict::RefuseOther && self.diverges(&life, &append.rows) {
            let highest = self.highest(&life.0, life.1);
            return StoreReply::HistoryDiverged { highest };
        }
        self.epochs.insert(life.clone(), append.epoch);
        let gaps = self.gaps.entry(life.clone()).or_default();
        for gap in append.gaps {
            insert_gap(gaps, gap);
        }
        let rows = self.rows.entry(life.clone()).or_default();
        let received_at = append.received_at;
        let mut insert = |row: HistoryRow| {
            let sequence = row.observation.seq;
            let is_new = !rows.contains_key(&sequence);
            rows.entry(sequence).or_insert(HistoryEntry { row, received_at });
            is_new
        };
        StoreReply::HistoryAppended {
            new: append.rows.into_iter().map(&mut insert).collect(),
            highest: self.highest(&life.0, life.1),
        }
    }

    /// Whether a row says something else than the one that is there, or than an earlier one of the same append.
    fn diverges(&self, life: &Life, rows: &[HistoryRow]) -> bool {
        let mut said: BTreeMap<Sequence, &HistoryRow> = BTreeMap::new();
        rows.iter().any(|row| {
            let sequence = row.observation.seq;
            let stored = self.row(&life.0, life.1, sequence).map(|entry| &entry.row);
            let first = stored.unwrap_or_else(|| said.entry(sequence).or_insert(row));
            !first.says_the_same(row)
        })
    }

    /// One row.
    pub fn row(
        &self,
        device: &DeviceName,
        instance: InstanceId,
        sequence: Sequence,
    ) -> Option<&HistoryEntry> {
        self.rows.get(&(device.clone(), instance))?.get(&sequence)
    }

    /// All rows, by device, instance and sequence.
    pub fn rows(&self) -> impl Iterator<Item = (&DeviceName, InstanceId, &HistoryEntry)> {
        self.rows
            .iter()
            .flat_map(|((device, instance), rows)| rows.values().map(move |entry| (device, *instance, entry)))
    }

    /// All gaps, by device, instance and first sequence.
    pub fn gaps(&self) -> impl Iterator<Item = (&DeviceName, InstanceId, Gap)> {
        self.gaps.iter().flat_map(|((device, instance), gaps)| {
            gaps.iter().map(move |((first, last), reason)| {
                let gap = Gap {
                    first: *first,
                    last: *last,
                    reason: *reason,
                };
                (device, *instance, gap)
            })
        })
    }

    /// The epoch an instance's last append named; none before the first.
    pub fn epoch(&self, device: &DeviceName, instance: InstanceId) -> Option<Epoch> {
        self.epochs.get(&(device.clone(), instance)).copied()
    }

    /// The highest sequence of an instance; 0 if none.
    pub fn highest(&self, device: &DeviceName, instance: InstanceId) -> Sequence {
        let rows = self.rows.get(&(device.clone(), instance));
        rows.and_then(|rows| rows.keys().next_back().copied())
            .unwrap_or(0)
    }

    /// Those of `sequences` that there are, in their order.
    pub(super) fn settled(
        &self,
        device: &DeviceName,
        instance: InstanceId,
        mut sequences: Vec<Sequence>,
    ) -> Vec<Sequence> {
        sequences.retain(|sequence| self.row(device, instance, *sequence).is_some());
        sequences
    }
}

/// Of one reason, the records with the same beginning are one, which grew: the longest counts.
fn insert_gap(gaps: &mut BTreeMap<(Sequence, Sequence), GapReason>, gap: Gap) {
    let same_beginning = gaps.range((gap.first, 0)..=(gap.first, Sequence::MAX));
    let known = same_beginning
        .filter(|(_, reason)| **reason == gap.reason)
        .map(|((_, last), _)| *last)
        .max();
    match known {
        Some(last) if last >= gap.last || gaps.contains_key(&(gap.first, gap.last)) => return,
        Some(last) => drop(gaps.remove(&(gap.first, last))),
        None => {}
    }
    gaps.entry((gap.first, gap.last)).or_insert(gap.reason);
}
