//! Reports and what they wrote.

use apollo_wire::{DeviceName, Epoch, Verdicts};

use crate::metrics::{Metrics, ReasonLabel, VerdictLabel, WriteLabels};

/// A report has its verdicts.
pub struct ReportSettled<'a> {
    /// The verdicts.
    pub verdicts: &'a Verdicts,
}

impl ReportSettled<'_> {
    /// Counts.
    pub fn emit(self, metrics: &Metrics) {
        let verdicts = self.verdicts;
        let rejected = u64::try_from(verdicts.rejected.len()).unwrap_or(u64::MAX);
        for (verdict, count) in [
            ("accepted", u64::from(verdicts.accepted)),
            ("duplicate", u64::from(verdicts.duplicates)),
            ("orphaned", u64::from(verdicts.orphaned)),
            ("rejected", rejected),
        ] {
            if count > 0 {
                metrics
                    .observations
                    .get_or_create(&VerdictLabel { verdict })
                    .inc_by(count);
            }
        }
        for rejection in &verdicts.rejected {
            let reason = rejection.reason.as_str();
            metrics.rejections.get_or_create(&ReasonLabel { reason }).inc();
        }
    }
}

/// Compare-and-swaps of a status were tried.
pub struct StatusWritten {
    /// "Device" or "DeviceProcess".
    pub kind: &'static str,
    /// "ok", "conflict" or "error".
    pub result: &'static str,
    /// How many.
    pub count: u32,
}

impl StatusWritten {
    /// Counts.
    pub fn emit(self, metrics: &Metrics) {
        let Self { kind, result, count } = self;
        if count > 0 {
            metrics
                .status_writes
                .get_or_create(&WriteLabels { kind, result })
                .inc_by(u64::from(count));
        }
    }
}

/// A Device object was made at a device's first report.
pub struct DeviceRegistered<'a> {
    /// Whose.
    pub device: &'a DeviceName,
}

impl DeviceRegistered<'_> {
    /// Logs.
    pub fn emit(self) {
        tracing::info!(device = %self.device, "device registered");
    }
}

/// A device reported from a queue database the gateway had not met.
pub struct InstanceMet<'a> {
    /// Which device.
    pub device: &'a DeviceName,
    /// The instance's epoch.
    pub epoch: Epoch,
}

impl InstanceMet<'_> {
    /// Logs.
    pub fn emit(self) {
        tracing::info!(device = %self.device, epoch = self.epoch, "new instance");
    }
}

/// A device runs from an old copy of its database.
pub struct RolledBackDeviceMet<'a> {
    /// Which device.
    pub device: &'a DeviceName,
}

impl RolledBackDeviceMet<'_> {
    /// Logs.
    pub fn emit(self) {
        tracing::warn!(device = %self.device, "device runs from an old copy of its database; it will start a new instance");
    }
}

/// A device is bound to more processes than one document may hold.
pub struct ProcessesLeftOut<'a> {
    /// Which device.
    pub device: &'a DeviceName,
    /// How many it is not told of.
    pub left_out: usize,
}

impl ProcessesLeftOut<'_> {
    /// Logs.
    pub fn emit(self) {
        let Self { device, left_out } = self;
        tracing::warn!(
            %device,
            left_out,
            "more processes than one document may hold (1,000, of 16 MiB together); the last ones by name are left out"
        );
    }
}

/// The store tells of no more changes.
pub struct WatchEnded;

impl WatchEnded {
    /// Logs.
    pub fn emit(self) {
        tracing::error!(
            "the store's watch ended; desired state is not served until a new one has told everything"
        );
    }
}
