//! A store for tests that tells what it was given to tell, and cannot carry out anything.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use apollo_gateway_core::{
    object::{
        DesiredPhase, DeviceObject, DeviceStatus, ProcessObject, ProcessStatus, ResourceVersion, Versioned,
    },
    policy::Policy,
    store::{StoreReply, StoreRequest},
};
use apollo_wire::CanonicalSpec;
use tokio::sync::mpsc;

use super::Service;
use crate::{
    clock, lifecycle,
    metrics::Metrics,
    store::{Change, Store},
};

/// The store.
#[derive(Default)]
pub(super) struct Scripted {
    watches: Mutex<VecDeque<Vec<Change>>>,
    running: Mutex<Option<mpsc::Sender<Change>>>,
    asked: AtomicUsize,
}

impl Scripted {
    /// One that tells this in its first watch, its second, and so on.
    pub(super) fn with_watches(watches: impl IntoIterator<Item = Vec<Change>>) -> Self {
        Self {
            watches: Mutex::new(watches.into_iter().collect()),
            ..Self::default()
        }
    }

    /// Ends the watch that runs. One whose script has no `Synced` ends by itself.
    pub(super) fn end_watch(&self) {
        self.running.lock().unwrap().take();
    }

    /// How many requests it was asked to carry out.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Store for Scripted {
    async fn execute(&self, _: StoreRequest) -> StoreReply {
        self.asked.fetch_add(1, Ordering::SeqCst);
        StoreReply::Unavailable { retry_after: None }
    }

    fn watch(&self) -> mpsc::Receiver<Change> {
        let script = self.watches.lock().unwrap().pop_front().unwrap_or_default();
        let ends_by_itself = !script.iter().any(|change| matches!(change, Change::Synced));
        let (sender, receiver) = mpsc::channel(script.len().max(1));
        for change in script {
            sender.try_send(change).unwrap();
        }
        *self.running.lock().unwrap() = (!ends_by_itself).then_some(sender);
        receiver
    }
}

/// A service on such a store.
pub(super) fn service(store: Scripted, change: impl FnOnce(&mut Policy)) -> Arc<Service<Scripted>> {
    let mut policy = Policy::default();
    change(&mut policy);
    let (_, lifecycle) = lifecycle::begin();
    Arc::new(Service::new(
        store,
        policy,
        Arc::new(Metrics::default()),
        lifecycle,
        clock::now,
    ))
}

/// A device that has not reported.
pub(super) fn device(name: &str) -> Versioned<DeviceObject> {
    Versioned {
        version: ResourceVersion("1".to_owned()),
        object: DeviceObject {
            device: name.parse().unwrap(),
            blocked: false,
            stale_after_ms: None,
            status: DeviceStatus::default(),
        },
    }
}

/// A process nobody has reported on.
pub(super) fn process(name: &str, device: &str) -> Versioned<ProcessObject> {
    Versioned {
        version: ResourceVersion("1".to_owned()),
        object: ProcessObject {
            process: name.parse().unwrap(),
            device: device.parse().unwrap(),
            generation: 1,
            spec: CanonicalSpec::new(&serde_json::json!({"command": ["/bin/true"]})).unwrap(),
            wants: DesiredPhase::Running,
            status: ProcessStatus::default(),
        },
    }
}
