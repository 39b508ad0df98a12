//! The contract of stores, kept by the embedded one: two handles with separate connections and threads on one file, as
//! two gateway processes have.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod store_contract;
mod store_values;

use apollo_gateway::{
    manifest::{Kind, ObjectKey, check_object, documents},
    store::embedded::{EmbeddedStore, Missing},
};
use apollo_wire::ProcessRef;
use store_contract::Replicas;

struct OneFile {
    _directory: tempfile::TempDir,
    first: EmbeddedStore,
    second: EmbeddedStore,
}

impl OneFile {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.db");
        let first = EmbeddedStore::open(&path, Missing::Create).unwrap();
        let second = EmbeddedStore::open(&path, Missing::Create).unwrap();
        Self {
            _directory: directory,
            first,
            second,
        }
    }
}

impl Replicas for OneFile {
    type Store = EmbeddedStore;

    fn first(&self) -> &EmbeddedStore {
        &self.first
    }

    fn second(&self) -> &EmbeddedStore {
        &self.second
    }

    async fn apply(&self, yaml: &str) {
        let documents = documents("test", yaml).unwrap();
        let manifests = documents
            .iter()
            .map(|document| check_object(&document.value, None).unwrap())
            .collect();
        self.first.apply(manifests).await.unwrap();
    }

    async fn delete_process(&self, process: &ProcessRef) {
        let key = ObjectKey {
            kind: Kind::DeviceProcess,
            namespace: process.namespace().to_owned(),
            name: process.name().to_owned(),
        };
        assert!(self.first.delete(key).await.unwrap());
    }
}

macro_rules! contract {
    ($($name:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            store_contract::$name(&OneFile::new()).await;
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
