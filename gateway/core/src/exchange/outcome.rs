//! What an exchange comes to, and what it did on the way (for metrics and the security log).

use std::time::Duration;

use apollo_wire::{Epoch, Verdicts};

use crate::store::WriteOutcome;

/// The end of an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Concluded {
    /// What to answer.
    pub outcome: Outcome,
    /// What to count and log.
    pub effects: Effects,
}

/// What to answer to the device.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Everything named in the verdicts has committed: 200, or 403 with the same body.
    Settled {
        /// The body.
        verdicts: Verdicts,
        /// 403: nothing of a non-empty report was settled and at least one refusal was `NotBound`.
        forbidden: bool,
    },
    /// 403; the report was not looked at.
    Refused(Refusal),
    /// 503: nothing is settled. Whatever has committed is harmless when the report comes again.
    Busy {
        /// For `Retry-After`.
        retry_after: Duration,
    },
}

/// Why a device's report is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// `spec.blocked` is set. Not a proof of life.
    #[error("device is blocked")]
    Blocked,
    /// No Device object, and the gateway registers none by itself.
    #[error("device is not registered")]
    UnknownDevice,
}

/// What an exchange did.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Effects {
    /// Status writes on DeviceProcesses.
    pub process_writes: WriteTally,
    /// Status writes on the Device, its creation included.
    pub device_writes: WriteTally,
    /// A Device object was created.
    pub registered: bool,
    /// The instance was new and got this epoch.
    pub new_epoch: Option<Epoch>,
    /// The device runs from an old copy of its database; nothing of the report was settled.
    pub rolled_back: bool,
    /// Gap records taken into history.
    pub gaps: u32,
}

/// `apollo_gateway_status_writes_total` of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct WriteTally {
    /// Written.
    pub ok: u32,
    /// Somebody else had written first.
    pub conflict: u32,
    /// The store could not say.
    pub error: u32,
}

impl WriteTally {
    /// Counts one outcome. An object that is gone took no write and is no conflict.
    pub(crate) fn count(&mut self, outcome: &WriteOutcome) {
        match outcome {
            WriteOutcome::Written(_) => self.ok += 1,
            WriteOutcome::Conflict => self.conflict += 1,
            WriteOutcome::Gone => {}
        }
    }
}
