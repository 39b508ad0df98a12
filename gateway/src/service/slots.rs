//! How much is worked on at once: by all devices, and by any one of them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use apollo_wire::DeviceName;

/// Reports being settled at once. Each may hold 16 MiB decoded, and the store commits those that wait together, so more
/// would only wait longer.
pub const EXCHANGES: usize = 128;
/// Reports of one device under way at once: an agent has one, two while a connection dies; the rest is for people.
pub const REPORTS_PER_DEVICE: u32 = 8;
/// Request bodies held at once, all connections together, bytes: every exchange with the largest default body.
pub const BODY_BYTES: usize = 128 * 1024 * 1024;
/// `Retry-After` where there is no room: a full set of exchanges is done in less.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Counts the reports under way per device.
#[derive(Debug, Default)]
pub struct DeviceSlots {
    taken: Mutex<HashMap<DeviceName, u32>>,
}

/// One report under way; gives its place back when dropped.
#[derive(Debug)]
pub struct DeviceSlot<'a> {
    slots: &'a DeviceSlots,
    device: DeviceName,
}

impl DeviceSlots {
    /// A place for one more report of `device`.
    pub fn take(&self, device: &DeviceName) -> Option<DeviceSlot<'_>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(device.clone()).or_insert(0);
        if *count >= REPORTS_PER_DEVICE {
            return None;
        }
        *count += 1;
        Some(DeviceSlot {
            slots: self,
            device: device.clone(),
        })
    }
}

impl Drop for DeviceSlot<'_> {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.device) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.device);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_so_many_places_and_not_one_more_and_leaves_nothing_behind() {
        let slots = DeviceSlots::default();
        let (one, other) = ("a".parse().unwrap(), "b".parse().unwrap());
        let held: Vec<_> = (0..REPORTS_PER_DEVICE)
            .map(|_| slots.take(&one).unwrap())
            .collect();
        assert!(slots.take(&one).is_none());
        assert!(slots.take(&other).is_some());
        drop(held);
        assert!(slots.take(&one).is_some());
        assert!(slots.taken.lock().unwrap().is_empty());
    }
}
