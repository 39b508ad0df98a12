//! Follows the store's watch: every change goes into the index and to liveness.

use std::{sync::Arc, time::Duration};

use apollo_gateway_core::desired::DesiredIndex;

use super::{Service, liveness::Liveness};
use crate::{
    events,
    store::{Change, Store},
};

/// Pause before a watch that ended is begun anew: it reads every object, and whatever ended it may end it again.
const PAUSE: Duration = Duration::from_secs(1);

/// One watch: what it has told so far, before and after `Synced`.
struct Following<'a, S> {
    service: &'a Service<S>,
    liveness: Liveness<S>,
    /// What exists, until everything has been told: then it replaces the index at once, so that objects which went
    /// unnoticed between two watches are gone from it.
    told: Option<DesiredIndex>,
}

impl<S: Store> Service<S> {
    /// Keeps the index, and has silent devices marked and conditions repaired, until dropped.
    pub async fn follow(self: Arc<Self>) {
        loop {
            self.follow_watch().await;
            // Without news the index would slowly become a lie: not ready, and polls are sent elsewhere.
            self.index.set_ready(false);
            self.metrics.watch_up.set(0);
            events::WatchEnded.emit();
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Until the store ends the watch.
    async fn follow_watch(self: &Arc<Self>) {
        let mut changes = self.store.watch();
        let mut following = Following {
            service: self,
            // Anew for each watch, as at a start of the gateway: devices that went meanwhile are forgotten, and for the
            // others silence counts from here. Repairs under way are dropped; whatever they left is found again.
            liveness: Liveness::new(self.clone()),
            told: Some(DesiredIndex::default()),
        };
        loop {
            // Cancel-safe: a channel's recv(), and waits for a time or for tasks.
            tokio::select! {
                change = changes.recv() => match change {
                    Some(change) => following.take_in(&change),
                    None => return,
                },
                () = following.liveness.work(), if following.told.is_none() => {}
            }
        }
    }
}

impl<S: Store> Following<'_, S> {
    fn take_in(&mut self, change: &Change) {
        let index = &self.service.index;
        match change {
            Change::Process(process) => {
                match &mut self.told {
                    Some(told) => drop(told.upsert(&process.object)),
                    None => index.upsert(&process.object),
                }
                self.liveness.process_seen(&process.object);
            }
            // Its status went with it: nothing for liveness to do.
            Change::ProcessDeleted(process) => match &mut self.told {
                Some(told) => drop(told.remove(process)),
                None => index.remove(process),
            },
            Change::Device(device) => self.liveness.device_seen(device),
            Change::DeviceDeleted(device) => self.liveness.device_gone(device),
            Change::Synced => {
                if let Some(told) = self.told.take() {
                    index.replace(told);
                }
                index.set_ready(true);
                self.service.metrics.watch_up.set(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{Scripted, process, service};
    use crate::store::Change;

    #[tokio::test]
    async fn a_watch_that_ended_is_begun_anew_and_what_it_no_longer_tells_is_dropped() {
        let told = |name: &str| Change::Process(Box::new(process(name, "buoy-17")));
        let store = Scripted::with_watches([
            vec![told("default/gone"), told("default/stays"), Change::Synced],
            vec![told("default/stays")],
            vec![told("default/stays"), Change::Synced],
        ]);
        let service = service(store, |_| {});
        let following = tokio::spawn(service.clone().follow());
        service.index.ready().await;
        assert_eq!(service.index.counts(), (1, 2));
        service.store().end_watch();
        while service.index.is_ready() {
            tokio::task::yield_now().await;
        }
        service.index.ready().await;
        assert_eq!(service.index.counts(), (1, 1));
        following.abort();
    }
}
