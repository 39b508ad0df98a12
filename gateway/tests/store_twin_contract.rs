//! The contract of stores, kept by the twin in memory that the simulator and the model checker run on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod store_contract;
mod store_values;

use std::sync::{Arc, Mutex};

use apollo_gateway::{
    manifest::{check_object, desired_phase, documents},
    store::{Change, Store},
};
use apollo_gateway_core::store::{StoreReply, StoreRequest};
use apollo_twins::store::{self as twins, Objects, ProcessManifest};
use apollo_wire::{ProcessRef, ProcessSpec};
use store_contract::Replicas;
use tokio::sync::mpsc;

/// Changes waiting for a reader: more than any of these tests makes.
const CHANNEL: usize = 1_024;

/// The twin behind a lock, with a watch made of comparing states.
#[derive(Clone, Default)]
struct Twin {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    store: twins::Store,
    /// What each watch was last told of.
    watches: Vec<(Objects, mpsc::Sender<Change>)>,
}

impl Twin {
    fn step<T>(&self, step: impl FnOnce(&mut twins::Store) -> T) -> T {
        let mut shared = self.shared.lock().unwrap();
        let done = step(&mut shared.store);
        shared.tell();
        done
    }
}

impl Shared {
    fn tell(&mut self) {
        for (told, changes) in &mut self.watches {
            for change in self.store.objects.changes_since(told) {
                // A reader that is gone needs no news.
                let _ = changes.try_send(as_told(change));
            }
            *told = self.store.objects.clone();
        }
    }
}

fn as_told(change: twins::Change) -> Change {
    match change {
        twins::Change::Process(process) => Change::Process(process),
        twins::Change::ProcessDeleted(process) => Change::ProcessDeleted(process),
        twins::Change::Device(device) => Change::Device(device),
        twins::Change::DeviceDeleted(device) => Change::DeviceDeleted(device),
    }
}

impl Store for Twin {
    async fn execute(&self, request: StoreRequest) -> StoreReply {
        let reply = self.step(|store| store.execute(request));
        // Every request is a point where others may come between.
        tokio::task::yield_now().await;
        reply
    }

    fn watch(&self) -> mpsc::Receiver<Change> {
        let (changes, receiver) = mpsc::channel(CHANNEL);
        let mut shared = self.shared.lock().unwrap();
        shared.watches.push((Objects::default(), changes.clone()));
        shared.tell();
        changes.try_send(Change::Synced).unwrap();
        receiver
    }
}

impl Replicas for Twin {
    type Store = Self;

    fn first(&self) -> &Self {
        self
    }

    fn second(&self) -> &Self {
        self
    }

    async fn apply(&self, yaml: &str) {
        for document in documents("test", yaml).unwrap() {
            let manifest = check_object(&document.value, None).unwrap();
            let spec: ProcessSpec = serde_json::from_str(manifest.spec.json()).unwrap();
            self.step(|store| {
                store.objects.apply_process(ProcessManifest {
                    process: ProcessRef::new(&manifest.key.namespace, &manifest.key.name).unwrap(),
                    wants: desired_phase(&spec),
                    device: spec.device_ref.name,
                    spec: manifest.spec,
                })
            });
        }
    }

    async fn delete_process(&self, process: &ProcessRef) {
        assert!(self.step(|store| store.objects.delete_process(process)));
    }
}

macro_rules! contract {
    ($($name:ident),+ $(,)?) => {$(
        #[tokio::test]
        async fn $name() {
            store_contract::$name(&Twin::default()).await;
        }
    )+};
}

contract!(
    a_status_write_needs_the_version_it_was_computed_from,
    two_replicas_at_once_lose_no_update,
    foreign_fields_of_a_status_are_kept,
    conditions_of_others_are_kept,
    a_device_status_needs_the_version_it_was_computed_from,
    a_device_is_created_once,
    processes_are_read_by_device_and_by_name,
    history_is_a_set,
    history_refuses_another_observation_under_the_same_sequence,
    the_ends_of_the_sequences_fit,
    a_watch_tells_of_changes_by_every_replica,
);
