//! What to send next.

use std::ops::RangeInclusive;

use apollo_wire::{
    Clock, Gap, GapReason, InstanceId, Observation, QueueDepth, Sequence, SequenceRange, Value,
};

use super::{Boot, Queue, Row, row_bytes};

/// What a report carries of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Batch {
    /// The instance all sequences below belong to.
    pub instance: InstanceId,
    /// The oldest pending rows, ascending.
    pub observations: Vec<Observation>,
    /// Gap records not yet taken by a gateway.
    pub gaps: Vec<Gap>,
    /// How full the queue is, these rows included.
    pub queue: QueueDepth,
    /// The highest sequence ever offered before this batch.
    pub offered_through: Sequence,
}

impl Batch {
    /// The first and last sequence in it; none for a batch without observations.
    pub fn range(&self) -> Option<RangeInclusive<Sequence>> {
        Some(self.observations.first()?.seq..=self.observations.last()?.seq)
    }
}

impl Queue {
    /// The oldest pending rows: at most `max_rows`, at most `max_bytes` of them, but at least one if there is any. Rows
    /// of another boot than `boot` whose clock ran free get clock unknown. Rows met that cannot be read back are
    /// dropped and become gap records.
    pub fn next_batch(&mut self, boot: Boot, max_rows: usize, max_bytes: u64) -> Batch {
        let (mut observations, mut unreadable) = (Vec::new(), Vec::new());
        let mut bytes = 0_u64;
        for (sequence, row) in self.rows.iter().take(max_rows) {
            if row.unreadable {
                unreadable.push(*sequence);
                continue;
            }
            bytes = bytes.saturating_add(row_bytes(&row.observation));
            if bytes > max_bytes && !observations.is_empty() {
                break;
            }
            observations.push(as_sent(row, boot));
        }
        for sequence in &unreadable {
            let row = self.rows.remove(sequence);
            self.bytes -= row.map_or(0, |row| row_bytes(&row.observation));
        }
        self.gaps
            .record(&SequenceRange::collect(unreadable), GapReason::Corrupt);
        Batch {
            instance: self.instance,
            observations,
            gaps: self.gaps.list(),
            queue: QueueDepth {
                pending: self.pending(),
                dropped: self.dropped,
            },
            offered_through: self.offered_through,
        }
    }

    /// Notes that sequences up to `through` are about to be offered. Never lowers.
    pub fn mark_offered(&mut self, through: Sequence) {
        self.offered_through = self.offered_through.max(through);
    }

    /// Damages a row so that it cannot be read back; false if there is none of this sequence.
    pub fn damage(&mut self, sequence: Sequence) -> bool {
        let row = self.rows.get_mut(&sequence);
        row.map(|row| row.unreadable = true).is_some()
    }
}

fn as_sent(row: &Row, boot: Boot) -> Observation {
    let mut observation = row.observation.clone();
    if observation.clock == Clock::Unsynced && row.boot != boot {
        observation.clock = Clock::Unknown;
    }
    observation
}

/// The length of the values as JSON text; 0 where there are none.
pub(super) fn values_bytes(observation: &Observation) -> usize {
    if observation.values.is_empty() {
        return 0;
    }
    let number = |value: &Value| {
        value
            .as_integer()
            .map_or_else(|| value.get().to_string(), |n| n.to_string())
    };
    let pairs = observation.values.iter();
    // Braces around, quotes and a colon in each pair, commas between: names are not escaped, none needs it here.
    1 + pairs
        .map(|(name, value)| name.len() + 4 + number(value).len())
        .sum::<usize>()
}
