//! Whose turn it is: devices in a ring, and for each the objects that its writes wait for, longest first.

use std::collections::BTreeMap;

use apollo_wire::DeviceName;

use super::ObjectKey;

/// Counts pushes: the order in which writes came.
pub(super) type Arrival = u64;

/// The ring. Every look-up is by key: its cost grows with the logarithm of what waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Turns {
    ring: BTreeMap<u64, DeviceName>,
    lines: BTreeMap<DeviceName, Line>,
    next_turn: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Line {
    turn: u64,
    objects: BTreeMap<Arrival, ObjectKey>,
}

impl Turns {
    /// A device's first write for an object can be sent. A device that had nothing to send takes its place at the end of
    /// the ring.
    pub(super) fn add(&mut self, device: &DeviceName, arrival: Arrival, object: ObjectKey) {
        let line = self.lines.entry(device.clone()).or_insert_with(|| {
            let turn = self.next_turn;
            self.next_turn += 1;
            self.ring.insert(turn, device.clone());
            Line {
                turn,
                objects: BTreeMap::new(),
            }
        });
        line.objects.insert(arrival, object);
    }

    /// Whose turn it is, and the object its longest waiting write is for.
    pub(super) fn first(&self) -> Option<(DeviceName, ObjectKey)> {
        let (_, device) = self.ring.first_key_value()?;
        let (_, object) = self.lines.get(device)?.objects.first_key_value()?;
        Some((device.clone(), object.clone()))
    }

    /// That write can not be sent for now, or not any more.
    pub(super) fn remove(&mut self, device: &DeviceName, arrival: Arrival) {
        let Some(line) = self.lines.get_mut(device) else {
            return;
        };
        line.objects.remove(&arrival);
        if line.objects.is_empty() {
            self.ring.remove(&line.turn);
            self.lines.remove(device);
        }
    }

    /// The device has had its turn.
    pub(super) fn pass(&mut self, device: &DeviceName) {
        let Some(line) = self.lines.get_mut(device) else {
            return;
        };
        self.ring.remove(&line.turn);
        line.turn = self.next_turn;
        self.next_turn += 1;
        self.ring.insert(line.turn, device.clone());
    }

    /// Nobody waits any more.
    pub(super) fn clear(&mut self) {
        self.ring.clear();
        self.lines.clear();
    }
}
