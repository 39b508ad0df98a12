//! Storing observations, and what makes room for them.

use std::ops::RangeInclusive;

use apollo_wire::{Defect, GapReason, Observation, Sequence, SequenceRange, limits::MESSAGE_BYTES};

use super::{Boot, DeadLetter, Queue, Row, row_bytes};

impl Queue {
    /// Stores observations in order, all or none, whatever their `seq` says, and returns their sequences; an empty
    /// range (`1..=0`) for none. Messages over the contract's length are cut. Where the queue is full, the oldest rows
    /// make room and become gap records.
    ///
    /// # Errors
    /// The first bound of the contract that one of them breaks: nothing was stored.
    pub fn append(
        &mut self,
        boot: Boot,
        observations: Vec<Observation>,
    ) -> Result<RangeInclusive<Sequence>, Defect> {
        let cut: Vec<Observation> = observations.into_iter().map(with_message_cut).collect();
        cut.iter().try_for_each(Observation::check)?;
        let first = self.high_water + 1;
        for observation in cut {
            self.push(boot, observation);
        }
        self.trim();
        if self.high_water < first {
            return Ok(RangeInclusive::new(1, 0));
        }
        Ok(first..=self.high_water)
    }

    /// Moves dead letters back to the end of the queue, each under a new sequence. Returns (old, new) for each that is
    /// one.
    pub fn requeue(&mut self, sequences: &[Sequence]) -> Vec<(Sequence, Sequence)> {
        let mut moved = Vec::new();
        for old in sequences {
            let Some(DeadLetter {
                observation, boot, ..
            }) = self.dead.remove(old)
            else {
                continue;
            };
            moved.push((*old, self.push(boot, observation)));
        }
        self.trim();
        moved
    }

    /// Deletes all pending rows and records them as gaps. Returns how many there were.
    pub fn purge(&mut self) -> u64 {
        let purged: Vec<Sequence> = std::mem::take(&mut self.rows).into_keys().collect();
        let count = purged.len() as u64;
        self.bytes = 0;
        self.gaps
            .record(&SequenceRange::collect(purged), GapReason::Purged);
        count
    }

    fn push(&mut self, boot: Boot, observation: Observation) -> Sequence {
        self.high_water += 1;
        let sequence = self.high_water;
        self.bytes += row_bytes(&observation);
        let row = Row {
            observation: Observation {
                seq: sequence,
                ..observation
            },
            boot,
            unreadable: false,
        };
        self.rows.insert(sequence, row);
        sequence
    }

    /// Drops the oldest rows until the queue keeps its limits; one row stays.
    fn trim(&mut self) {
        let mut dropped = Vec::new();
        let max_rows = self.limits.max_rows.max(1);
        while self.pending() > 1 && (self.pending() > max_rows || self.bytes > self.limits.max_bytes) {
            let Some((sequence, row)) = self.rows.pop_first() else {
                break;
            };
            self.bytes -= row_bytes(&row.observation);
            dropped.push(sequence);
        }
        self.dropped += dropped.len() as u64;
        self.gaps
            .record(&SequenceRange::collect(dropped), GapReason::QueueFull);
    }
}

fn with_message_cut(mut observation: Observation) -> Observation {
    let end = observation.message.floor_char_boundary(MESSAGE_BYTES);
    observation.message.truncate(end);
    // The sequence is the queue's to give.
    observation.seq = 0;
    observation
}
