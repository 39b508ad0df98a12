//! What the gateway knows of the objects: fed by the watches and by the answers to its own requests. A first try of a
//! report reads here and asks the API server nothing.
//!
//! A version never goes back: an answer that was under way while the watch told of a later version is dropped. Versions
//! are numbers that grow for one resource (Kubernetes API concepts, "Resource versions"); where they are not, the latest
//! word counts, and a wrong one costs a lost compare-and-swap. A list counts whatever its versions: when an etcd was
//! restored from a backup, they begin again from an earlier number.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use apollo_gateway_core::object::{DeviceObject, ProcessObject, ResourceVersion};
use apollo_wire::{DeviceName, ProcessRef};

use super::object::{Known, Stored};

/// All objects, behind one lock that is held for a lookup.
#[derive(Default)]
pub(super) struct Cache {
    objects: RwLock<Objects>,
}

#[derive(Default)]
pub(super) struct Objects {
    processes: HashMap<ProcessRef, Known<ProcessObject>>,
    /// The processes of each device that has some.
    bound: HashMap<DeviceName, BTreeSet<ProcessRef>>,
    devices: HashMap<DeviceName, Known<DeviceObject>>,
    complete: bool,
}

/// A kind of object the cache has a place for.
pub(super) trait Cached: Stored {
    /// The version that is known of one.
    fn version(objects: &Objects, key: &Self::Key) -> Option<ResourceVersion>;
    /// Puts one in its place.
    fn put(objects: &mut Objects, key: Self::Key, known: Known<Self>);
    /// Forgets one.
    fn forget(cache: &Cache, key: &Self::Key);
    /// Forgets all but these, and says which those were.
    fn forget_others(cache: &Cache, keys: &HashSet<Self::Key>) -> Vec<Self::Key>;
}

impl Cache {
    /// Takes in what was read; false if something later is known.
    pub(super) fn take_in<T: Cached>(&self, known: Known<T>) -> bool {
        let key = known.read.object.key();
        let mut objects = self.write();
        let former = T::version(&objects, &key);
        if former.is_some_and(|former| is_later(&former, &known.read.version)) {
            return false;
        }
        T::put(&mut objects, key, known);
        true
    }

    /// Takes in what a list has, whatever is known.
    pub(super) fn take_in_listed<T: Cached>(&self, known: Known<T>) {
        T::put(&mut self.write(), known.read.object.key(), known);
    }

    /// Whether everything that exists was told of once: before, "there is none" might be a lie.
    pub(super) fn is_complete(&self) -> bool {
        self.read().complete
    }

    /// Everything that exists has been told of.
    pub(super) fn set_complete(&self) {
        self.write().complete = true;
    }

    /// A Device.
    pub(super) fn device(&self, device: &DeviceName) -> Option<Known<DeviceObject>> {
        self.read().devices.get(device).cloned()
    }

    /// A DeviceProcess.
    pub(super) fn process(&self, process: &ProcessRef) -> Option<Known<ProcessObject>> {
        self.read().processes.get(process).cloned()
    }

    /// The DeviceProcesses bound to a device and those named, each once.
    pub(super) fn bound_or_named(
        &self,
        device: &DeviceName,
        named: &[ProcessRef],
    ) -> Vec<Known<ProcessObject>> {
        let objects = self.read();
        let bound = objects.bound.get(device);
        let is_bound = |process: &&ProcessRef| bound.is_some_and(|bound| bound.contains(*process));
        let others: BTreeSet<&ProcessRef> = named.iter().filter(|process| !is_bound(process)).collect();
        let keys = bound.into_iter().flatten().chain(others);
        keys.filter_map(|process| objects.processes.get(process).cloned())
            .collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Objects> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Objects> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Objects {
    fn remove_process(&mut self, process: &ProcessRef) {
        let Some(former) = self.processes.remove(process) else {
            return;
        };
        self.unbind(&former.read.object.device, process);
    }

    fn unbind(&mut self, device: &DeviceName, process: &ProcessRef) {
        if let Some(bound) = self.bound.get_mut(device) {
            bound.remove(process);
            if bound.is_empty() {
                self.bound.remove(device);
            }
        }
    }
}

impl Cached for ProcessObject {
    fn version(objects: &Objects, process: &ProcessRef) -> Option<ResourceVersion> {
        let known = objects.processes.get(process);
        known.map(|known| known.read.version.clone())
    }

    fn put(objects: &mut Objects, process: ProcessRef, known: Known<Self>) {
        let device = known.read.object.device.clone();
        let former = objects.processes.get(&process).map(|former| &former.read);
        let moved_from = former
            .filter(|former| former.object.device != device)
            .map(|former| former.object.device.clone());
        if let Some(from) = moved_from {
            objects.unbind(&from, &process);
        }
        objects.bound.entry(device).or_default().insert(process.clone());
        objects.processes.insert(process, known);
    }

    fn forget(cache: &Cache, process: &ProcessRef) {
        cache.write().remove_process(process);
    }

    fn forget_others(cache: &Cache, keys: &HashSet<ProcessRef>) -> Vec<ProcessRef> {
        let mut objects = cache.write();
        let gone = others(&objects.processes, keys);
        for process in &gone {
            objects.remove_process(process);
        }
        gone
    }
}

impl Cached for DeviceObject {
    fn version(objects: &Objects, device: &DeviceName) -> Option<ResourceVersion> {
        let known = objects.devices.get(device);
        known.map(|known| known.read.version.clone())
    }

    fn put(objects: &mut Objects, device: DeviceName, known: Known<Self>) {
        objects.devices.insert(device, known);
    }

    fn forget(cache: &Cache, device: &DeviceName) {
        cache.write().devices.remove(device);
    }

    fn forget_others(cache: &Cache, keys: &HashSet<DeviceName>) -> Vec<DeviceName> {
        let mut objects = cache.write();
        let gone = others(&objects.devices, keys);
        for device in &gone {
            objects.devices.remove(device);
        }
        gone
    }
}

fn others<K: Clone + Eq + std::hash::Hash, V>(all: &HashMap<K, V>, but: &HashSet<K>) -> Vec<K> {
    all.keys().filter(|key| !but.contains(*key)).cloned().collect()
}

/// Whether `one` is a later version than `other`.
fn is_later(one: &ResourceVersion, other: &ResourceVersion) -> bool {
    match (one.0.parse::<u64>(), other.0.parse::<u64>()) {
        (Ok(one), Ok(other)) => one > other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::object, *};

    fn take_in(cache: &Cache, known: Known<ProcessObject>) -> bool {
        cache.take_in(known)
    }

    fn process(name: &str, device: &str, version: &str) -> Known<ProcessObject> {
        let raw = serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "default", "resourceVersion": version},
            "spec": {"deviceRef": {"name": device}, "command": ["/bin/true"]},
        }));
        object::known(&raw.unwrap()).unwrap()
    }

    fn key(name: &str) -> ProcessRef {
        ProcessRef::new("default", name).unwrap()
    }

    fn names(cache: &Cache, device: &str, named: &[&str]) -> Vec<String> {
        let named: Vec<ProcessRef> = named.iter().map(|name| key(name)).collect();
        let found = cache.bound_or_named(&device.parse().unwrap(), &named);
        found
            .iter()
            .map(|known| known.read.object.process.name().to_owned())
            .collect()
    }

    #[test]
    fn processes_are_found_by_device_and_by_name_each_once_and_move_with_their_binding() {
        let cache = Cache::default();
        for (name, device) in [("a", "buoy"), ("b", "buoy"), ("c", "truck")] {
            assert!(take_in(&cache, process(name, device, "5")));
        }
        assert_eq!(
            names(&cache, "buoy", &["b", "c", "c", "missing"]),
            ["a", "b", "c"]
        );
        assert!(take_in(&cache, process("a", "truck", "6")));
        assert_eq!(names(&cache, "buoy", &[]), ["b"]);
        assert_eq!(names(&cache, "truck", &[]), ["a", "c"]);
        ProcessObject::forget(&cache, &key("b"));
        assert!(names(&cache, "buoy", &[]).is_empty());
        assert!(
            !cache.read().bound.contains_key(&"buoy".parse().unwrap()),
            "nothing is left behind"
        );
    }

    #[test]
    fn a_version_never_goes_back_whichever_word_comes_last() {
        let cache = Cache::default();
        assert!(take_in(&cache, process("a", "truck", "10")));
        assert!(!take_in(&cache, process("a", "buoy", "9")));
        assert_eq!(names(&cache, "truck", &[]), ["a"]);
        assert!(take_in(&cache, process("a", "truck", "10")), "the same again");
        assert!(
            take_in(&cache, process("a", "buoy", "opaque")),
            "what does not compare counts as it comes"
        );
        take_in(&cache, process("a", "buoy", "12"));
        cache.take_in_listed(process("a", "truck", "3"));
        assert_eq!(
            names(&cache, "truck", &[]),
            ["a"],
            "a list counts, whatever was known"
        );
    }

    #[test]
    fn what_a_new_list_no_longer_has_is_forgotten() {
        let cache = Cache::default();
        for name in ["a", "b"] {
            take_in(&cache, process(name, "buoy", "5"));
        }
        let gone = ProcessObject::forget_others(&cache, &HashSet::from([key("a")]));
        assert_eq!(gone, [key("b")]);
        assert_eq!(names(&cache, "buoy", &[]), ["a"]);
    }
}
