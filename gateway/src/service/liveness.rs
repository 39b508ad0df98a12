//! Who has gone silent: the core's tracker on this process's monotonic clock, and the writes it asks for.

use std::sync::Arc;

use apollo_gateway_core::{
    object::{DeviceObject, ProcessObject, Versioned},
    reconcile::{Reconcile, Reconciled},
    tracker::{MonotonicMs, Task, Tracker},
};
use apollo_wire::DeviceName;
use tokio::{
    task::JoinSet,
    time::{Duration, Instant},
};

use super::{Service, drive::drive};
use crate::store::Store;

/// Longest sleep without a deadline: news come by the watch anyway.
const IDLE: Duration = Duration::from_secs(60);

/// The tracker and the reconciliations under way.
pub(super) struct Liveness<S> {
    service: Arc<Service<S>>,
    tracker: Tracker,
    /// At most twice `Policy::repairs_at_once`: no more are started while one lot is running.
    running: JoinSet<(DeviceName, Reconciled)>,
    /// Zero of the monotonic clock.
    began: Instant,
}

impl<S: Store> Liveness<S> {
    pub(super) fn new(service: Arc<Service<S>>) -> Self {
        Self {
            tracker: Tracker::new(service.policy),
            service,
            running: JoinSet::new(),
            began: Instant::now(),
        }
    }

    pub(super) fn device_seen(&mut self, device: &Versioned<DeviceObject>) {
        self.tracker.device_seen(device, self.now_ms());
    }

    pub(super) fn device_gone(&mut self, device: &DeviceName) {
        self.tracker.device_gone(device, self.now_ms());
    }

    pub(super) fn process_seen(&mut self, process: &ProcessObject) {
        self.tracker.process_seen(process, self.now_ms());
    }

    /// Waits for the next thing to do and starts it. Cancel-safe: what is due is started without waiting.
    pub(super) async fn work(&mut self) {
        let room = self.running.len() < self.service.policy.repairs_at_once;
        let deadline = self
            .tracker
            .next_deadline_ms()
            .map(|at| self.began + Duration::from_millis(at));
        let idle = Instant::now() + IDLE;
        tokio::select! {
            () = tokio::time::sleep_until(deadline.unwrap_or(idle)), if room => {
                for task in self.tracker.due(self.now_ms()) {
                    self.start(task);
                }
            }
            Some(ended) = self.running.join_next(), if !self.running.is_empty() => {
                // An error is a task that was cancelled with the runtime.
                if let Ok((device, done)) = ended {
                    self.tracker.reconciled(&device, &done, self.now_ms());
                }
            }
        }
    }

    fn start(&mut self, task: Task) {
        let service = self.service.clone();
        let now = (service.clock)();
        let device = task.device.clone();
        let machine = Reconcile::new(task, now, &service.policy, rand::random());
        self.running.spawn(async move {
            let done = drive(&service.store, machine).await;
            service.account_writes("Device", done.device_writes);
            service.account_writes("DeviceProcess", done.process_writes);
            (device, done)
        });
    }

    fn now_ms(&self) -> MonotonicMs {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::scripted::{Scripted, device, service},
        Liveness,
    };

    #[tokio::test]
    async fn a_repair_that_failed_because_the_store_was_busy_is_tried_again() {
        let service = service(Scripted::default(), |policy| policy.repair_after_ms = 1);
        let mut liveness = Liveness::new(service.clone());
        liveness.device_seen(&device("buoy-17"));
        let tried_thrice = async {
            while service.store().asked() < 3 {
                liveness.work().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), tried_thrice)
            .await
            .expect("tries go on while nothing else happens");
    }
}
