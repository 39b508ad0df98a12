//! Gap records: which sequences will never arrive, and why. Bounded: neighbours merge.

use std::collections::BTreeMap;

use apollo_wire::{Gap, GapReason, Sequence, SequenceRange, limits};

/// The records, by first sequence.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Gaps {
    records: BTreeMap<Sequence, (Sequence, GapReason)>,
}

impl Gaps {
    /// Records lost ranges, joining each with the records of the same reason that touch it, then keeps the bound.
    pub(super) fn record(&mut self, lost: &[SequenceRange], reason: GapReason) {
        for range in lost {
            self.insert(*range, reason);
        }
        self.keep_bound();
    }

    /// The records, ascending.
    pub(super) fn list(&self) -> Vec<Gap> {
        let gap = |(first, (last, reason)): (&Sequence, &(Sequence, GapReason))| Gap {
            first: *first,
            last: *last,
            reason: *reason,
        };
        self.records.iter().take(limits::GAPS).map(gap).collect()
    }

    /// The lowest sequence that any record names.
    pub(super) fn lowest(&self) -> Option<Sequence> {
        self.records.keys().next().copied()
    }

    /// Moves all records up.
    pub(super) fn move_by(&mut self, distance: Sequence) {
        let records = std::mem::take(&mut self.records);
        let moved = records
            .into_iter()
            .map(|(first, (last, reason))| (first + distance, (last + distance, reason)));
        self.records = moved.collect();
    }

    /// Removes what a gateway has taken; of a record that grew since, the rest stays. Returns how many of `sent` were
    /// removed, wholly or in part.
    pub(super) fn remove(&mut self, sent: &[Gap]) -> u64 {
        let mut removed = 0;
        for gap in sent {
            let overlaps = |(first, (last, reason)): &(&Sequence, &(Sequence, GapReason))| {
                **first <= gap.last && *last >= gap.first && *reason == gap.reason
            };
            let met: Vec<(Sequence, Sequence)> = self
                .records
                .iter()
                .filter(overlaps)
                .map(|(first, (last, _))| (*first, *last))
                .collect();
            removed += u64::from(!met.is_empty());
            for (first, last) in met {
                self.records.remove(&first);
                if first < gap.first {
                    self.put(first, gap.first - 1, gap.reason);
                }
                if last > gap.last {
                    self.put(gap.last + 1, last, gap.reason);
                }
            }
        }
        removed
    }

    /// Takes a range that arrived after all out of every record. Returns the parts taken out of those of the reason
    /// QueueFull.
    pub(super) fn take_out(&mut self, first: Sequence, last: Sequence) -> Vec<(Sequence, Sequence)> {
        let overlaps = |(start, (end, reason)): &(&Sequence, &(Sequence, GapReason))| {
            **start <= last && *end >= first && *reason == GapReason::QueueFull
        };
        let within =
            |(start, (end, _)): (&Sequence, &(Sequence, GapReason))| (first.max(*start), last.min(*end));
        let pushed_out = self.records.iter().filter(overlaps).map(within).collect();
        let reasons = [GapReason::QueueFull, GapReason::Purged, GapReason::Corrupt];
        if self.remove(&reasons.map(|reason| Gap { first, last, reason })) > 0 {
            // A record cut in the middle is two.
            self.keep_bound();
        }
        pushed_out
    }

    fn insert(&mut self, range: SequenceRange, reason: GapReason) {
        let mut joined = range;
        let same = |(_, (_, found)): &(&Sequence, &(Sequence, GapReason))| *found == reason;
        if let Some((first, (last, _))) = self.records.range(..=range.first).rfind(same)
            && last.saturating_add(1) >= range.first
        {
            joined.first = *first;
            joined.last = joined.last.max(*last);
        }
        let touching = range.first.saturating_add(1)..=range.last.saturating_add(1);
        let after = self.records.range(touching).filter(same);
        joined.last = after.map(|(_, (last, _))| *last).fold(joined.last, Sequence::max);
        self.records
            .retain(|first, (_, found)| *found != reason || !(joined.first..=joined.last).contains(first));
        self.put(joined.first, joined.last, reason);
    }

    fn put(&mut self, first: Sequence, last: Sequence, reason: GapReason) {
        let record = self.records.entry(first).or_insert((last, reason));
        record.0 = record.0.max(last);
    }

    /// Merges the closest neighbours while there are too many records, the earlier ones first among equally close.
    fn keep_bound(&mut self) {
        let excess = self.records.len().saturating_sub(limits::GAPS);
        if excess == 0 {
            return;
        }
        let starts = self.records.keys().skip(1);
        let ends = self.records.values().map(|(last, _)| *last);
        let distance = |last: Sequence, next: Sequence| i128::from(next) - i128::from(last);
        let mut distances: Vec<(i128, Sequence)> = ends
            .zip(starts)
            .map(|(last, next)| (distance(last, *next), *next))
            .collect();
        distances.sort_unstable();
        let mut swallowed: Vec<Sequence> = distances.into_iter().take(excess).map(|(_, next)| next).collect();
        swallowed.sort_unstable();
        for next in swallowed {
            let Some((last, _)) = self.records.remove(&next) else {
                continue;
            };
            if let Some((_, (before, _))) = self.records.range_mut(..next).next_back() {
                *before = (*before).max(last);
            }
        }
    }
}
