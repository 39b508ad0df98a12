//! Starting a new instance.

use apollo_wire::{InstanceId, Observation};

use super::{Queue, Row};

impl Queue {
    /// Gives the queue another instance. Pending rows and gap records move above every sequence the old instance handed
    /// out, by one distance; nothing counts as offered or dropped any more.
    pub fn renew_instance(&mut self, new: InstanceId) {
        let lowest_row = self.rows.keys().next().copied();
        let lowest = lowest_row.into_iter().chain(self.gaps.lowest()).min();
        if let Some(lowest) = lowest {
            let distance = self.high_water - lowest + 1;
            let rows = std::mem::take(&mut self.rows);
            let moved = rows.into_iter().map(|(sequence, row)| {
                let seq = sequence + distance;
                let observation = Observation {
                    seq,
                    ..row.observation
                };
                (seq, Row { observation, ..row })
            });
            self.rows = moved.collect();
            self.gaps.move_by(distance);
            self.high_water += distance;
        }
        self.previous_instance = Some(self.instance);
        self.instance = new;
        (self.offered_through, self.dropped) = (0, 0);
    }
}
