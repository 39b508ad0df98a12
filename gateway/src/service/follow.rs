//! Follows the store's watch: every change goes into the index and to liveness.

use std::sync::Arc;

use super::{Service, liveness::Liveness};
use crate::{
    events,
    store::{Change, Store},
};

impl<S: Store> Service<S> {
    /// Runs until the store ends its watch: keeps the index, and has silent devices marked and conditions repaired.
    pub async fn follow(self: Arc<Self>) {
        let mut changes = self.store.watch();
        let mut liveness = Liveness::new(self.clone());
        loop {
            // Cancel-safe: a channel's recv(), and waits for a time or for tasks.
            tokio::select! {
                change = changes.recv() => match change {
                    Some(change) => self.take_in(&change, &mut liveness),
                    None => break,
                },
                () = liveness.work(), if self.index.is_ready() => {}
            }
        }
        // Without news the index would slowly become a lie: not ready, and polls are sent elsewhere.
        self.index.set_ready(false);
        events::WatchEnded.emit();
    }

    fn take_in(&self, change: &Change, liveness: &mut Liveness<S>) {
        match change {
            Change::Process(process) => {
                self.index.upsert(&process.object);
                liveness.process_seen(&process.object);
            }
            // Its status went with it: nothing for liveness to do.
            Change::ProcessDeleted(process) => self.index.remove(process),
            Change::Device(device) => liveness.device_seen(device),
            Change::DeviceDeleted(device) => liveness.device_gone(device),
            Change::Synced => self.index.set_ready(true),
        }
    }
}
