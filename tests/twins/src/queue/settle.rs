//! Taking a gateway's verdicts.

use apollo_wire::{Gap, InstanceId, Rejection, Sequence, Verdicts};

use super::{DeadLetter, Queue, row_bytes};

/// Most dead letters kept; the oldest go first.
const DEAD_LETTERS: usize = 1_000;

/// What the verdicts changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Settled {
    /// Rows deleted because they were acknowledged.
    pub acked: u64,
    /// Rows moved to the dead letters.
    pub dead: u64,
    /// Gap records the gateway has taken.
    pub gaps: u64,
    /// Rows still pending.
    pub pending: u64,
}

/// The verdicts answer a report of another instance than the queue's: nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OtherInstance {
    /// The instance of the report they answer.
    pub answered: InstanceId,
    /// The queue's.
    pub current: InstanceId,
}

impl Queue {
    /// Applies the reply to a report: refused rows become dead letters, acknowledged ones go, and so do the gap records
    /// it carried; acknowledged rows that left the queue meanwhile are taken out of the other records. Rows above
    /// [`mark_offered`](Queue::mark_offered) are left alone.
    ///
    /// # Errors
    /// [`OtherInstance`] if the queue has started a new instance since.
    pub fn settle(
        &mut self,
        instance: InstanceId,
        sent_gaps: &[Gap],
        verdicts: &Verdicts,
    ) -> Result<Settled, OtherInstance> {
        if self.instance != instance {
            return Err(OtherInstance {
                answered: instance,
                current: self.instance,
            });
        }
        let offered = self.offered_through;
        let mut settled = Settled::default();
        for rejection in verdicts.rejected.iter().filter(|refused| refused.seq <= offered) {
            settled.dead += u64::from(self.bury(rejection));
        }
        settled.gaps = self.gaps.remove(sent_gaps);
        for range in verdicts.acked.iter().filter(|range| range.first <= offered) {
            let last = range.last.min(offered);
            self.take_out_of_gaps(range.first, last);
            settled.acked += self.delete(range.first, last);
        }
        while self.dead.len() > DEAD_LETTERS {
            self.dead.pop_first();
        }
        self.acked_total += settled.acked;
        settled.pending = self.pending();
        Ok(settled)
    }

    /// Deletes all dead letters. Returns how many there were.
    pub fn purge_dead(&mut self) -> u64 {
        std::mem::take(&mut self.dead).len() as u64
    }

    /// Rows that left the queue while their report was on its way, and arrived, are neither lost nor dropped.
    fn take_out_of_gaps(&mut self, first: Sequence, last: Sequence) {
        for (first, last) in self.gaps.take_out(first, last) {
            let still_here = self.rows.range(first..=last).count() as u64;
            self.dropped = (self.dropped + still_here).saturating_sub(last - first + 1);
        }
    }

    fn delete(&mut self, first: Sequence, last: Sequence) -> u64 {
        let named: Vec<Sequence> = match first <= last {
            true => self
                .rows
                .range(first..=last)
                .map(|(sequence, _)| *sequence)
                .collect(),
            false => Vec::new(),
        };
        for sequence in &named {
            let row = self.rows.remove(sequence);
            self.bytes -= row.map_or(0, |row| row_bytes(&row.observation));
        }
        named.len() as u64
    }

    fn bury(&mut self, rejection: &Rejection) -> bool {
        let Some(row) = self.rows.remove(&rejection.seq) else {
            return false;
        };
        self.bytes -= row_bytes(&row.observation);
        let letter = DeadLetter {
            observation: row.observation,
            boot: row.boot,
            rejection: rejection.reason,
        };
        self.dead.insert(rejection.seq, letter);
        true
    }
}
