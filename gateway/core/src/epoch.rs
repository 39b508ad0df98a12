//! Epochs: the order of a device's lives.
//!
//! A device's queue database is an instance; wiping or restoring it makes a new one. At first contact the
//! gateway appends the instance to the list in the Device's status by compare-and-swap; its epoch is one more
//! than any before, so what a later life says always outranks what an earlier one said.
//!
//! Two things could turn that order round, and neither may:
//! - **A deleted Device** takes its list along. A new list therefore starts above every epoch that the
//!   statuses of the device's processes still carry.
//! - **A list over its bound** forgets its oldest instance. If that one (an old clone, say) reports again, it
//!   must not be taken for a new life and outrank the present one. History tells: an instance that is not
//!   listed but has rows was forgotten. What it sends goes into history under epoch [`FORGOTTEN`] and becomes
//!   no status. Without history the two look alike and the instance gets a new epoch.

use apollo_wire::{Epoch, InstanceId};

use crate::object::{DeviceStatus, InstanceStatus, ProcessObject};

/// The epoch of an instance that was forgotten: below every other, so it never becomes a status.
pub const FORGOTTEN: Epoch = 0;

/// The entry of an instance the gateway has met and not forgotten.
pub fn known(status: &DeviceStatus, instance: InstanceId) -> Option<&InstanceStatus> {
    status.instances.iter().find(|entry| entry.id == instance)
}

/// Whether the list has forgotten somebody, so that history has to be asked about a stranger.
pub fn has_forgotten(status: &DeviceStatus) -> bool {
    status.instances.first().is_some_and(|first| first.epoch > 1)
}

/// The greatest epoch that observations of this device have left in the statuses of its processes; 0 if none.
pub fn floor<'a>(bound: impl IntoIterator<Item = &'a ProcessObject>) -> Epoch {
    bound
        .into_iter()
        .filter(|process| {
            process
                .status
                .observed_device
                .as_ref()
                .is_none_or(|device| *device == process.device)
        })
        .filter_map(|process| process.status.sync.map(|sync| sync.epoch))
        .max()
        .unwrap_or(0)
}

/// Appends an instance, of which nothing is settled yet, and returns its epoch. Keeps the last `instances_kept` entries (at least one).
pub fn claim(status: &mut DeviceStatus, instance: InstanceId, floor: Epoch, instances_kept: usize) -> Epoch {
    let last = status
        .instances
        .iter()
        .map(|entry| entry.epoch)
        .max()
        .unwrap_or(0);
    let epoch = last.max(floor).saturating_add(1);
    status.instances.push(InstanceStatus {
        id: instance,
        epoch,
        highest_sequence: 0,
    });
    let surplus = status.instances.len().saturating_sub(instances_kept.max(1));
    status.instances.drain(..surplus);
    epoch
}
