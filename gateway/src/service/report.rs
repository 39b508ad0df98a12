//! One report: a place to be worked on, the core's exchange, and what there is to count and log.

use std::time::Duration;

use apollo_gateway_core::exchange::{Concluded, Effects, Exchange, Outcome, Refusal, WriteTally};
use apollo_wire::{DeviceName, RejectReason, Report, Verdicts};

use super::{Service, drive::drive, slots};
use crate::{events, store::Store};

/// Longest an exchange may take: its machine gives up after some seconds of conflicts, so this is a store that hangs. Less
/// than the ten seconds of silence after which an agent tries again elsewhere: it should hear the 503 and its Retry-After.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(8);

/// A report that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportAnswer {
    /// What became of each observation.
    pub verdicts: Verdicts,
    /// Nothing was settled, and something was about another device's process: 403.
    pub forbidden: bool,
}

/// A report that was not looked at, or could not be settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsettled {
    /// 403.
    #[error("this device is refused: {0}")]
    Refused(Refusal),
    /// 429: this device has too many reports under way.
    #[error("this device has {max} reports under way, no more are taken", max = slots::REPORTS_PER_DEVICE)]
    TooManyAtOnce,
    /// 503: the gateway or its store has too much to do.
    #[error("nothing of the report is settled, send it again")]
    Busy {
        /// When.
        retry_after: Duration,
    },
}

impl<S: Store> Service<S> {
    /// Has a report settled.
    ///
    /// # Errors
    /// If it was refused as a whole, or nothing could be settled.
    pub async fn report(&self, device: &DeviceName, report: Report) -> Result<ReportAnswer, Unsettled> {
        let full = Unsettled::Busy {
            retry_after: slots::RETRY_AFTER,
        };
        let Ok(_place) = self.exchanges.try_acquire() else {
            return Err(full);
        };
        let exchange = Exchange::new(
            device.clone(),
            report,
            (self.clock)(),
            self.policy,
            rand::random(),
        );
        let concluded = tokio::time::timeout(EXCHANGE_TIMEOUT, drive(&self.store, exchange)).await;
        let Ok(Concluded { outcome, effects }) = concluded else {
            return Err(full);
        };
        self.account(device, &outcome, &effects);
        match outcome {
            Outcome::Settled { verdicts, forbidden } => Ok(ReportAnswer { verdicts, forbidden }),
            Outcome::Refused(refusal) => Err(Unsettled::Refused(refusal)),
            Outcome::Busy { retry_after } => Err(Unsettled::Busy { retry_after }),
        }
    }

    fn account(&self, device: &DeviceName, outcome: &Outcome, effects: &Effects) {
        self.account_writes("Device", effects.device_writes);
        self.account_writes("DeviceProcess", effects.process_writes);
        if effects.registered {
            events::DeviceRegistered { device }.emit();
        }
        if let Some(epoch) = effects.new_epoch {
            events::InstanceMet { device, epoch }.emit();
        }
        if effects.rolled_back {
            events::RolledBackDeviceMet { device }.emit();
        }
        let Outcome::Settled { verdicts, .. } = outcome else {
            return;
        };
        events::ReportSettled { verdicts }.emit(&self.metrics);
        let mut refused = verdicts
            .rejected
            .iter()
            .filter(|one| one.reason == RejectReason::NotBound);
        if let Some(first) = refused.next() {
            events::NotBoundRefused {
                device,
                observations: refused.count() + 1,
                message: &first.message,
            }
            .emit(&self.security);
        }
    }

    pub(super) fn account_writes(&self, kind: &'static str, tally: WriteTally) {
        for (result, count) in [
            ("ok", tally.ok),
            ("conflict", tally.conflict),
            ("error", tally.error),
        ] {
            events::StatusWritten { kind, result, count }.emit(&self.metrics);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use apollo_gateway_core::{
        policy::Policy,
        store::{StoreReply, StoreRequest},
    };
    use apollo_wire::{InstanceId, UnixMillis};
    use tokio::{sync::mpsc, task::JoinSet};

    use super::*;
    use crate::{clock, lifecycle, metrics::Metrics, store::Change};

    /// What an agent waits for a datagram before it tries elsewhere.
    const AGENTS_PATIENCE: Duration = Duration::from_secs(10);

    /// A store that never answers.
    struct Hanging;

    impl Store for Hanging {
        async fn execute(&self, _: StoreRequest) -> StoreReply {
            std::future::pending().await
        }

        fn watch(&self) -> mpsc::Receiver<Change> {
            mpsc::channel(1).1
        }
    }

    /// Takes as long as an exchange may: 8 s.
    #[tokio::test]
    async fn as_many_reports_are_settled_at_once_as_there_are_places_and_a_store_that_hangs_frees_them() {
        let (_controller, lifecycle) = lifecycle::begin();
        let metrics = Arc::new(Metrics::default());
        let service = Service::new(Hanging, Policy::default(), metrics, lifecycle, clock::now);
        let service = Arc::new(service);
        let report = |number: u8| {
            let service = Arc::clone(&service);
            async move {
                let report = Report::empty(InstanceId::from_bytes([number; 16]), UnixMillis::saturating(0));
                service
                    .report(&format!("buoy-{number}").parse().unwrap(), report)
                    .await
            }
        };
        let began = Instant::now();
        let mut under_way: JoinSet<_> = (0..u8::try_from(slots::EXCHANGES).unwrap()).map(report).collect();
        while service.exchanges.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let full = Err(Unsettled::Busy {
            retry_after: slots::RETRY_AFTER,
        });
        assert_eq!(report(200).await, full);
        assert!(began.elapsed() < EXCHANGE_TIMEOUT, "one too many is told at once");
        while let Some(ended) = under_way.join_next().await {
            assert_eq!(ended.unwrap(), full);
        }
        assert!(began.elapsed() < AGENTS_PATIENCE, "{:?}", began.elapsed());
        assert_eq!(service.exchanges.available_permits(), slots::EXCHANGES);
    }
}
