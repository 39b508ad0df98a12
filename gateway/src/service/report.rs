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
