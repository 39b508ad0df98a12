//! Building the answer to a report from what has committed.

use apollo_wire::{Epoch, Rejection, Sequence, SequenceRange, Verdicts};

use crate::{store::HistoryRow, time::ClockReading};

/// What has become of the rows of one report.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Settlement {
    pub(crate) acked: Vec<Sequence>,
    pub(crate) accepted: u32,
    pub(crate) duplicates: u32,
    pub(crate) orphaned: u32,
}

impl Settlement {
    /// Counts rows after history has committed: each is new, a duplicate, or new and orphaned. A row of which
    /// history does not say that it was new counts as a duplicate.
    pub(crate) fn of(rows: &[(Sequence, bool)], new: &[bool], repeated: u32) -> Self {
        let mut settlement = Self {
            duplicates: repeated,
            ..Self::default()
        };
        let new = new.iter().copied().chain(std::iter::repeat(false));
        for (&(sequence, orphaned), new) in rows.iter().zip(new) {
            settlement.acked.push(sequence);
            match (new, orphaned) {
                (false, _) => settlement.duplicates += 1,
                (true, true) => settlement.orphaned += 1,
                (true, false) => settlement.accepted += 1,
            }
        }
        settlement
    }

    /// The highest settled sequence; 0 if none.
    pub(crate) fn highest(&self) -> Sequence {
        self.acked.iter().copied().max().unwrap_or(0)
    }

    /// The answer.
    pub(crate) fn verdicts(
        self,
        epoch: Epoch,
        highest_sequence: Sequence,
        mut rejected: Vec<Rejection>,
        clock: ClockReading,
    ) -> Verdicts {
        rejected.sort_unstable_by_key(|rejection| rejection.seq);
        Verdicts {
            epoch,
            highest_sequence,
            acked: SequenceRange::collect(self.acked),
            accepted: self.accepted,
            duplicates: self.duplicates,
            orphaned: self.orphaned,
            rejected,
            server_time: clock.received_at,
            clock_skew_ms: clock.skew_ms(),
        }
    }
}

/// What the settlement needs to know of each row: its sequence and whether it is orphaned.
pub(crate) fn keys(rows: &[HistoryRow]) -> Vec<(Sequence, bool)> {
    rows.iter()
        .map(|row| (row.observation.seq, row.orphaned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_which_history_says_nothing_are_settled_as_duplicates() {
        let rows = [(1, false), (2, true), (3, false)];
        let settlement = Settlement::of(&rows, &[true, true], 4);
        let expected = Settlement {
            acked: vec![1, 2, 3],
            accepted: 1,
            duplicates: 5,
            orphaned: 1,
        };
        assert_eq!(settlement, expected);
    }

    #[test]
    fn the_highest_settled_sequence_is_that_of_any_row() {
        let settlement = Settlement::of(&[(7, false), (3, false)], &[false, true], 0);
        assert_eq!((settlement.highest(), settlement.duplicates), (7, 1));
        assert_eq!(Settlement::default().highest(), 0);
    }
}
