//! What the gateway answers to a report.

use serde::{Deserialize, Serialize};

use crate::{Epoch, Sequence, UnixMillis};

/// The fate of every observation of one report. Whatever is named in neither `acked` nor `rejected` is not settled and
/// must be sent again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdicts {
    /// The instance's epoch.
    pub epoch: Epoch,
    /// The highest sequence the gateway knows to be settled for the instance; may lag, never leads. 0 if none.
    pub highest_sequence: Sequence,
    /// Settled sequences (new, duplicate or orphaned): sorted, disjoint, closed ranges.
    pub acked: Vec<SequenceRange>,
    /// How many were new.
    pub accepted: u32,
    /// How many had been settled before.
    pub duplicates: u32,
    /// How many are about a DeviceProcess that does not exist (any more): kept in history, no status.
    pub orphaned: u32,
    /// Refused observations: they will never be accepted.
    pub rejected: Vec<Rejection>,
    /// The gateway's clock.
    pub server_time: UnixMillis,
    /// The device's clock minus the gateway's at receipt, milliseconds.
    pub clock_skew_ms: i64,
}

/// A closed range of sequences, `[first, last]` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct SequenceRange {
    /// First sequence in the range.
    pub first: Sequence,
    /// Last sequence in the range.
    pub last: Sequence,
}

impl From<(u64, u64)> for SequenceRange {
    fn from((first, last): (u64, u64)) -> Self {
        Self { first, last }
    }
}

impl From<SequenceRange> for (u64, u64) {
    fn from(range: SequenceRange) -> Self {
        (range.first, range.last)
    }
}

impl SequenceRange {
    /// Joins sequences into sorted, disjoint ranges.
    pub fn collect(mut sequences: Vec<Sequence>) -> Vec<Self> {
        sequences.sort_unstable();
        let mut ranges: Vec<Self> = Vec::new();
        for sequence in sequences {
            match ranges.last_mut() {
                Some(range) if sequence <= range.last.saturating_add(1) => range.last = sequence,
                _ => ranges.push(Self {
                    first: sequence,
                    last: sequence,
                }),
            }
        }
        ranges
    }

    /// Whether the range holds `sequence`.
    pub fn contains(&self, sequence: Sequence) -> bool {
        (self.first..=self.last).contains(&sequence)
    }
}

/// A refused observation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rejection {
    /// Its sequence.
    pub seq: Sequence,
    /// Why, for machines.
    pub reason: RejectReason,
    /// Why, for people.
    #[serde(default)]
    pub message: String,
}

/// Why an observation was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RejectReason {
    /// The DeviceProcess is bound to another device.
    NotBound,
    /// Observed later than sent, beyond tolerance.
    TimestampInFuture,
    /// Older than the configured maximum.
    TimestampTooOld,
    /// A field breaks a bound of the contract.
    Malformed,
}

impl RejectReason {
    /// The word used in JSON, in metrics and in the dead letters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotBound => "NotBound",
            Self::TimestampInFuture => "TimestampInFuture",
            Self::TimestampTooOld => "TimestampTooOld",
            Self::Malformed => "Malformed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_the_word_that_json_has() {
        for reason in [
            RejectReason::NotBound,
            RejectReason::TimestampInFuture,
            RejectReason::TimestampTooOld,
            RejectReason::Malformed,
        ] {
            let json = serde_json::to_string(&reason).expect("a word");
            assert_eq!(json, format!("{:?}", reason.as_str()));
        }
    }

    #[test]
    fn a_range_contains_its_ends_and_nothing_beyond() {
        let range = SequenceRange { first: 3, last: 5 };
        let contained: Vec<_> = (0..9).filter(|sequence| range.contains(*sequence)).collect();
        assert_eq!(contained, [3, 4, 5]);
    }

    #[test]
    fn ranges_are_sorted_disjoint_and_as_long_as_possible() {
        assert_eq!(
            SequenceRange::collect(vec![10, 1, 2, 3, 12, 11, 2]),
            vec![
                SequenceRange { first: 1, last: 3 },
                SequenceRange { first: 10, last: 12 }
            ]
        );
        assert_eq!(SequenceRange::collect(vec![]), vec![]);
    }
}
