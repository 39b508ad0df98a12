//! The desired index behind a lock, and a bell for polls that wait.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{Arc, PoisonError, RwLock},
};

use apollo_gateway_core::{
    desired::{DesiredIndex, Fetch, Form},
    object::ProcessObject,
};
use apollo_wire::{DeviceName, ProcessRef};
use tokio::sync::{Notify, futures::OwnedNotified, watch};

use crate::events;

/// Bells shared by all devices: a change wakes the polls of its own device and one in so many others, and those look and
/// go back to sleep. With 20,000 held polls that is 20.
const BELLS: usize = 1024;

/// Every device's desired state, ready to serve.
pub struct Index {
    desired: RwLock<DesiredIndex>,
    ready: watch::Sender<bool>,
    bells: Vec<Arc<Notify>>,
    hasher: RandomState,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            desired: RwLock::default(),
            ready: watch::Sender::new(false),
            bells: (0..BELLS).map(|_| Arc::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Index {
    /// Whether everything that exists is in it. Before that, "nothing to run" might be a lie.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Waits for [`Self::is_ready`]. Cancel-safe.
    pub async fn ready(&self) {
        // The sender lives as long as this borrow.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Answers a poll: one lookup.
    pub fn fetch(&self, device: &DeviceName, if_none_match: Option<&str>, form: Form) -> Fetch {
        let desired = self.desired.read().unwrap_or_else(PoisonError::into_inner);
        desired.fetch(device, if_none_match, form)
    }

    /// Resolves when the device's desired state may have changed since this call.
    pub fn change(&self, device: &DeviceName) -> OwnedNotified {
        self.bell(device).clone().notified_owned()
    }

    /// How many devices have processes, and how many processes there are.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        let desired = self.desired.read().unwrap_or_else(PoisonError::into_inner);
        (desired.devices(), desired.processes())
    }

    pub(super) fn upsert(&self, process: &ProcessObject) {
        let mut desired = self.desired.write().unwrap_or_else(PoisonError::into_inner);
        let left_out_before = desired.left_out(&process.device);
        let touched = desired.upsert(process);
        let left_out = desired.left_out(&process.device);
        drop(desired);
        if left_out > left_out_before {
            events::ProcessesLeftOut {
                device: &process.device,
                left_out,
            }
            .emit();
        }
        touched
            .iter()
            .for_each(|device| self.bell(device).notify_waiters());
    }

    pub(super) fn remove(&self, process: &ProcessRef) {
        let touched = self
            .desired
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(process);
        touched
            .iter()
            .for_each(|device| self.bell(device).notify_waiters());
    }

    /// Takes in a state of everything made anew: what is not in it is gone.
    pub(super) fn replace(&self, desired: DesiredIndex) {
        for (device, left_out) in desired.overfull() {
            events::ProcessesLeftOut { device, left_out }.emit();
        }
        *self.desired.write().unwrap_or_else(PoisonError::into_inner) = desired;
        self.bells.iter().for_each(|bell| bell.notify_waiters());
    }

    pub(super) fn set_ready(&self, ready: bool) {
        self.ready.send_replace(ready);
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "the remainder is below the number of bells, whatever the hash"
    )]
    fn bell(&self, device: &DeviceName) -> &Arc<Notify> {
        &self.bells[self.hasher.hash_one(device) as usize % BELLS]
    }
}
