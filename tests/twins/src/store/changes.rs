//! What a watch would tell: how one state of the objects differs from an earlier one.

use apollo_gateway_core::object::{DeviceObject, ProcessObject, Versioned};
use apollo_wire::{DeviceName, ProcessRef};

use super::Objects;

/// One change of an object, as the gateway's watch tells it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// A DeviceProcess was created or changed.
    Process(Box<Versioned<ProcessObject>>),
    /// A DeviceProcess is gone.
    ProcessDeleted(ProcessRef),
    /// A Device was created or changed.
    Device(Box<Versioned<DeviceObject>>),
    /// A Device is gone.
    DeviceDeleted(DeviceName),
}

impl Objects {
    /// What became different since `earlier`: deletions first, then the newest state of each changed object in the order
    /// of its version. States in between are left out, as a watch that polls leaves them out.
    pub fn changes_since(&self, earlier: &Self) -> Vec<Change> {
        let gone_processes = earlier
            .processes
            .keys()
            .filter(|process| !self.processes.contains_key(process));
        let gone_devices = earlier
            .devices
            .keys()
            .filter(|device| !self.devices.contains_key(device));
        let deletions = gone_processes
            .cloned()
            .map(Change::ProcessDeleted)
            .chain(gone_devices.cloned().map(Change::DeviceDeleted));
        let processes = self.processes.iter().filter_map(|(name, now)| {
            let is_new = earlier
                .processes
                .get(name)
                .is_none_or(|then| then.version != now.version);
            is_new.then(|| (number(&now.version.0), Change::Process(Box::new(now.clone()))))
        });
        let devices = self.devices.iter().filter_map(|(name, now)| {
            let is_new = earlier
                .devices
                .get(name)
                .is_none_or(|then| then.version != now.version);
            is_new.then(|| (number(&now.version.0), Change::Device(Box::new(now.clone()))))
        });
        let mut changed: Vec<(u64, Change)> = processes.chain(devices).collect();
        changed.sort_by_key(|(version, _)| *version);
        deletions
            .chain(changed.into_iter().map(|(_, change)| change))
            .collect()
    }
}

/// The counter's value behind a version of this store.
pub(super) fn number(version: &str) -> u64 {
    version.parse().unwrap_or(u64::MAX)
}
