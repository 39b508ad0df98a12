//! Devices and DeviceProcesses: reading them, the operator's changes, and the compare-and-swap of a status.

use std::collections::BTreeMap;

use apollo_gateway_core::{
    object::{
        DesiredPhase, DeviceObject, DeviceStatus, ProcessObject, ProcessStatus, ResourceVersion, Versioned,
    },
    store::{StatusWrite, WriteOutcome},
};
use apollo_wire::{CanonicalSpec, DeviceName, ProcessRef};

use super::changes::number;

/// What an operator says about a DeviceProcess.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProcessManifest {
    /// Its name.
    pub process: ProcessRef,
    /// `spec.deviceRef.name`.
    pub device: DeviceName,
    /// The whole spec.
    pub spec: CanonicalSpec,
    /// What the spec asks the process to be.
    pub wants: DesiredPhase,
}

/// What `apply` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Applied {
    /// It did not exist.
    Created,
    /// Its spec changed.
    Configured,
    /// It was so already; nothing was written.
    Unchanged,
}

/// All objects with their versions. Versions are numbers of one counter, so that changes have an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Objects {
    pub(super) devices: BTreeMap<DeviceName, Versioned<DeviceObject>>,
    pub(super) processes: BTreeMap<ProcessRef, Versioned<ProcessObject>>,
    revision: u64,
}

impl Objects {
    /// One Device.
    pub fn device(&self, device: &DeviceName) -> Option<&Versioned<DeviceObject>> {
        self.devices.get(device)
    }

    /// One DeviceProcess.
    pub fn process(&self, process: &ProcessRef) -> Option<&Versioned<ProcessObject>> {
        self.processes.get(process)
    }

    /// All Devices, by name.
    pub fn devices(&self) -> impl Iterator<Item = &Versioned<DeviceObject>> {
        self.devices.values()
    }

    /// All DeviceProcesses, by name.
    pub fn processes(&self) -> impl Iterator<Item = &Versioned<ProcessObject>> {
        self.processes.values()
    }

    /// The DeviceProcesses bound to a device and those named, each once.
    pub fn bound_or_named(&self, device: &DeviceName, named: &[ProcessRef]) -> Vec<Versioned<ProcessObject>> {
        let is_wanted = |read: &&Versioned<ProcessObject>| {
            read.object.device == *device || named.contains(&read.object.process)
        };
        self.processes.values().filter(is_wanted).cloned().collect()
    }

    /// `apply` of a DeviceProcess: creates it, or gives it this spec and the next generation. Its status stays.
    pub fn apply_process(&mut self, manifest: ProcessManifest) -> Applied {
        let ProcessManifest {
            process,
            device,
            spec,
            wants,
        } = manifest;
        let existing = self.processes.get(&process).map(|found| &found.object);
        if existing.is_some_and(|found| found.spec == spec) {
            return Applied::Unchanged;
        }
        let applied = if existing.is_some() {
            Applied::Configured
        } else {
            Applied::Created
        };
        let object = ProcessObject {
            process: process.clone(),
            device,
            generation: existing.map_or(1, |found| found.generation + 1),
            spec,
            wants,
            status: existing.map(|found| found.status.clone()).unwrap_or_default(),
        };
        self.put_process(object);
        applied
    }

    /// `apply` of a Device with this spec. Its status stays.
    pub fn apply_device(
        &mut self,
        device: &DeviceName,
        blocked: bool,
        stale_after_ms: Option<u64>,
    ) -> Applied {
        let existing = self.devices.get(device).map(|found| &found.object);
        if existing.is_some_and(|found| found.blocked == blocked && found.stale_after_ms == stale_after_ms) {
            return Applied::Unchanged;
        }
        let applied = if existing.is_some() {
            Applied::Configured
        } else {
            Applied::Created
        };
        let object = DeviceObject {
            device: device.clone(),
            blocked,
            stale_after_ms,
            status: existing.map(|found| found.status.clone()).unwrap_or_default(),
        };
        self.put_device(object);
        applied
    }

    /// Deletes a DeviceProcess; false if there is none. Its history stays.
    pub fn delete_process(&mut self, process: &ProcessRef) -> bool {
        let found = self.processes.remove(process).is_some();
        self.revision += u64::from(found);
        found
    }

    /// Deletes a Device; false if there is none. Its history stays.
    pub fn delete_device(&mut self, device: &DeviceName) -> bool {
        let found = self.devices.remove(device).is_some();
        self.revision += u64::from(found);
        found
    }

    /// Stores a DeviceProcess as it is, under a new version.
    pub fn put_process(&mut self, object: ProcessObject) {
        let version = self.next_version();
        let versioned = Versioned { version, object };
        self.processes.insert(versioned.object.process.clone(), versioned);
    }

    /// Stores a Device as it is, under a new version.
    pub fn put_device(&mut self, object: DeviceObject) {
        let version = self.next_version();
        let versioned = Versioned { version, object };
        self.devices.insert(versioned.object.device.clone(), versioned);
    }

    /// In a copy of the objects: takes in a DeviceProcess as it was read elsewhere, unless a newer one is known.
    pub fn learn_process(&mut self, read: Versioned<ProcessObject>) {
        let known = self.processes.get(&read.object.process);
        if known.is_none_or(|known| number(&known.version.0) < number(&read.version.0)) {
            self.processes.insert(read.object.process.clone(), read);
        }
    }

    /// In a copy of the objects: takes in a Device as it was read elsewhere, unless a newer one is known.
    pub fn learn_device(&mut self, read: Versioned<DeviceObject>) {
        let known = self.devices.get(&read.object.device);
        if known.is_none_or(|known| number(&known.version.0) < number(&read.version.0)) {
            self.devices.insert(read.object.device.clone(), read);
        }
    }

    /// Changes a DeviceProcess as another writer of its status would; false if there is none.
    pub fn edit_process(&mut self, process: &ProcessRef, edit: impl FnOnce(&mut ProcessObject)) -> bool {
        let Some(mut object) = self.processes.get(process).map(|found| found.object.clone()) else {
            return false;
        };
        edit(&mut object);
        self.put_process(object);
        true
    }

    /// Changes a Device as an operator or another writer would; false if there is none.
    pub fn edit_device(&mut self, device: &DeviceName, edit: impl FnOnce(&mut DeviceObject)) -> bool {
        let Some(mut object) = self.devices.get(device).map(|found| found.object.clone()) else {
            return false;
        };
        edit(&mut object);
        self.put_device(object);
        true
    }

    /// Creates a Device with an empty spec and a first status.
    pub(super) fn create_device(&mut self, device: DeviceName, status: DeviceStatus) -> WriteOutcome {
        if self.devices.contains_key(&device) {
            return WriteOutcome::Conflict;
        }
        self.put_device(DeviceObject {
            device,
            blocked: false,
            stale_after_ms: None,
            status,
        });
        self.written()
    }

    /// Replaces a Device's status if it is still at the version the status was computed from.
    pub(super) fn replace_device_status(
        &mut self,
        device: &DeviceName,
        expected: &ResourceVersion,
        status: DeviceStatus,
    ) -> WriteOutcome {
        match self.devices.get(device) {
            None => WriteOutcome::Gone,
            Some(found) if found.version != *expected => WriteOutcome::Conflict,
            Some(_) => {
                self.edit_device(device, |object| object.status = status);
                self.written()
            }
        }
    }

    /// Replaces a DeviceProcess's status if it is still at the version the status was computed from.
    pub(super) fn replace_process_status(&mut self, write: StatusWrite) -> WriteOutcome {
        let status: ProcessStatus = write.status;
        match self.processes.get(&write.process) {
            None => WriteOutcome::Gone,
            Some(found) if found.version != write.expected => WriteOutcome::Conflict,
            Some(_) => {
                self.edit_process(&write.process, |object| object.status = status);
                self.written()
            }
        }
    }

    fn next_version(&mut self) -> ResourceVersion {
        self.revision += 1;
        ResourceVersion(self.revision.to_string())
    }

    /// The outcome of the write that was just done.
    fn written(&self) -> WriteOutcome {
        WriteOutcome::Written(ResourceVersion(self.revision.to_string()))
    }
}
