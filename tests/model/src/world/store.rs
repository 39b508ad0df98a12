//! The store as the replicas see it: the twin, with versions that do not depend on the order of unrelated writes.
//!
//! The twin counts all writes with one counter, so two unrelated writes in the other order give other versions, and equal
//! situations would look different. Here a version is how often *its own object* was written. Only equality of versions of
//! one object means anything to the gateway, and that is the same by either count.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
};

use apollo_gateway_core::{
    object::{DeviceObject, ProcessObject, ResourceVersion, Versioned},
    store::{StoreReply, StoreRequest, WriteOutcome},
};
use apollo_twins::store::{Objects, Store as Twin};
use apollo_wire::{DeviceName, ProcessRef};

/// A version no object ever has: what is computed from it conflicts.
const NEVER: &str = "never";

/// How often each object was written; also of objects that are gone, so that no version comes twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Writes {
    devices: BTreeMap<DeviceName, u32>,
    processes: BTreeMap<ProcessRef, u32>,
}

/// The store.
#[derive(Debug, Clone, Default)]
pub struct Store {
    twin: Twin,
    writes: Writes,
}

/// What a lagging cache shows.
#[derive(Debug, Clone)]
pub struct Snapshot {
    objects: Objects,
    writes: Writes,
}

impl Store {
    /// What is stored.
    pub fn contents(&self) -> &Twin {
        &self.twin
    }

    /// Carries out one request; reads that may come from a cache come from `cache`, if there is one.
    pub fn execute(&mut self, request: StoreRequest, cache: Option<&Snapshot>) -> StoreReply {
        let request = self.with_own_versions(request);
        let before = self.twin.objects.clone();
        let from_cache = matches!(
            &request,
            StoreRequest::ReadDevice { freshness, .. } | StoreRequest::ReadProcesses { freshness, .. }
                if *freshness == apollo_gateway_core::store::Freshness::Cached
        );
        let reply = match cache {
            Some(cache) => self.twin.execute_with_cache(request.clone(), &cache.objects),
            None => self.twin.execute(request.clone()),
        };
        self.count_writes(&before);
        let writes = cache
            .filter(|_| from_cache)
            .map_or(&self.writes, |cache| &cache.writes);
        told(writes, &request, reply)
    }

    /// Changes objects as an operator or another controller does.
    pub fn edit(&mut self, edit: impl FnOnce(&mut Objects)) {
        let before = self.twin.objects.clone();
        edit(&mut self.twin.objects);
        self.count_writes(&before);
    }

    /// Makes a request name the present versions, whatever it was computed from: what a saboteur does.
    pub fn force(&self, request: &mut StoreRequest) {
        match request {
            StoreRequest::ReplaceDeviceStatus { device, expected, .. } => {
                *expected = count(&self.writes.devices, device);
            }
            StoreRequest::ReplaceProcessStatuses { writes, .. } => {
                for write in writes {
                    write.expected = count(&self.writes.processes, &write.process);
                }
            }
            _ => {}
        }
    }

    /// What a cache that stops here goes on showing.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            objects: self.twin.objects.clone(),
            writes: self.writes.clone(),
        }
    }

    fn count_writes(&mut self, before: &Objects) {
        for now in self.twin.objects.devices() {
            let device = &now.object.device;
            if before
                .device(device)
                .is_none_or(|then| then.version != now.version)
            {
                *self.writes.devices.entry(device.clone()).or_default() += 1;
            }
        }
        for now in self.twin.objects.processes() {
            let process = &now.object.process;
            if before
                .process(process)
                .is_none_or(|then| then.version != now.version)
            {
                *self.writes.processes.entry(process.clone()).or_default() += 1;
            }
        }
    }

    /// Puts the twin's versions in the place of those the replica was told.
    fn with_own_versions(&self, mut request: StoreRequest) -> StoreRequest {
        match &mut request {
            StoreRequest::ReplaceDeviceStatus { device, expected, .. } => {
                let current = self.twin.objects.device(device).map(|found| &found.version);
                *expected = own(count(&self.writes.devices, device), current, expected);
            }
            StoreRequest::ReplaceProcessStatuses { writes, .. } => {
                for write in writes {
                    let current = self
                        .twin
                        .objects
                        .process(&write.process)
                        .map(|found| &found.version);
                    let told = count(&self.writes.processes, &write.process);
                    write.expected = own(told, current, &write.expected);
                }
            }
            _ => {}
        }
        request
    }
}

/// The version an object is told at.
fn count<K: Ord>(writes: &BTreeMap<K, u32>, key: &K) -> ResourceVersion {
    ResourceVersion(writes.get(key).copied().unwrap_or(0).to_string())
}

fn own(
    told: ResourceVersion,
    current: Option<&ResourceVersion>,
    expected: &ResourceVersion,
) -> ResourceVersion {
    match current {
        Some(current) if told == *expected => current.clone(),
        _ => ResourceVersion(NEVER.into()),
    }
}

/// The reply with the versions that replicas are told.
fn told(writes: &Writes, request: &StoreRequest, reply: StoreReply) -> StoreReply {
    let written = |outcome: WriteOutcome, version: ResourceVersion| match outcome {
        WriteOutcome::Written(_) => WriteOutcome::Written(version),
        other => other,
    };
    match (request, reply) {
        (_, StoreReply::Device(found)) => StoreReply::Device(found.map(|found| Versioned {
            version: count(&writes.devices, &found.object.device),
            ..found
        })),
        (_, StoreReply::Processes(found)) => {
            let told = found.into_iter().map(|found| Versioned {
                version: count(&writes.processes, &found.object.process),
                ..found
            });
            StoreReply::Processes(told.collect())
        }
        (
            StoreRequest::CreateDevice { device, .. } | StoreRequest::ReplaceDeviceStatus { device, .. },
            StoreReply::Written(outcome),
        ) => StoreReply::Written(written(outcome, count(&writes.devices, device))),
        (
            StoreRequest::ReplaceProcessStatuses { writes: asked, .. },
            StoreReply::StatusesWritten(outcomes),
        ) => {
            let told = asked
                .iter()
                .zip(outcomes)
                .map(|(write, outcome)| written(outcome, count(&writes.processes, &write.process)));
            StoreReply::StatusesWritten(told.collect())
        }
        (_, other) => other,
    }
}

fn devices(objects: &Objects) -> impl Iterator<Item = &DeviceObject> {
    objects.devices().map(|found| &found.object)
}

fn processes(objects: &Objects) -> impl Iterator<Item = &ProcessObject> {
    objects.processes().map(|found| &found.object)
}

fn hash_objects<H: Hasher>(objects: &Objects, writes: &Writes, hasher: &mut H) {
    devices(objects).for_each(|object| object.hash(hasher));
    processes(objects).for_each(|object| object.hash(hasher));
    writes.hash(hasher);
}

impl Hash for Store {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hash_objects(&self.twin.objects, &self.writes, hasher);
        self.twin.history.hash(hasher);
    }
}

impl Hash for Snapshot {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hash_objects(&self.objects, &self.writes, hasher);
    }
}
