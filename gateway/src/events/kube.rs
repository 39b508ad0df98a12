//! The API server, as the Kubernetes store meets it.

use std::time::Duration;

use crate::metrics::{KindLabel, Metrics};

/// Requests of one sort begin to fail. Said once, until they work again.
pub struct ApiServerFails<'a> {
    /// What fails, why, and what to do about it.
    pub line: &'a str,
}

impl ApiServerFails<'_> {
    /// Logs.
    pub fn emit(self) {
        tracing::error!(error = self.line, "the API server does not do what it is asked");
    }
}

/// Requests that failed are carried out again.
pub struct ApiServerWorksAgain<'a> {
    /// The verb, as RBAC has it.
    pub verb: &'a str,
    /// The resource.
    pub resource: &'a str,
}

impl ApiServerWorksAgain<'_> {
    /// Logs.
    pub fn emit(self) {
        tracing::info!(
            verb = self.verb,
            resource = self.resource,
            "the API server works again"
        );
    }
}

/// A watch was not heard for too long, or could not be resumed.
pub struct WatchBroken {
    /// "Device" or "DeviceProcess".
    pub kind: &'static str,
    /// Since it was last heard.
    pub silent: Duration,
}

impl WatchBroken {
    /// Logs.
    pub fn emit(self) {
        let silent_s = self.silent.as_secs();
        tracing::error!(kind = self.kind, silent_s, "the watch is broken");
    }
}

/// The API server had forgotten where a watch was, and everything was listed again.
pub struct WatchListsAnew {
    /// "Device" or "DeviceProcess".
    pub kind: &'static str,
}

impl WatchListsAnew {
    /// Logs and counts.
    pub fn emit(self, metrics: &Metrics) {
        metrics
            .kube_relists
            .get_or_create(&KindLabel { kind: self.kind })
            .inc();
        tracing::info!(kind = self.kind, "the watch lists everything again");
    }
}

/// An object that does not fit its type is not served.
pub struct ObjectLeftOut<'a> {
    /// Which, and the field that is wrong.
    pub error: &'a str,
}

impl ObjectLeftOut<'_> {
    /// Logs.
    pub fn emit(self) {
        tracing::error!(error = self.error, "an object cannot be used and is left out");
    }
}

/// Writes of one object were waiting for each other and went as one.
pub struct WritesCoalesced {
    /// How many requests that saved.
    pub saved: usize,
}

impl WritesCoalesced {
    /// Counts.
    pub fn emit(self, metrics: &Metrics) {
        metrics
            .kube_writes_coalesced
            .inc_by(u64::try_from(self.saved).unwrap_or(u64::MAX));
    }
}

/// Kubernetes Events cannot be written.
pub struct EventsRefused<'a> {
    /// What to do about it.
    pub line: &'a str,
}

impl EventsRefused<'_> {
    /// Logs.
    pub fn emit(self) {
        tracing::warn!(error = self.line, "no Kubernetes Events are written");
    }
}

/// The Kubernetes store keeps no history.
pub struct HistoryNotKept;

impl HistoryNotKept {
    /// Logs.
    pub fn emit(self) {
        tracing::warn!(
            "--history none: statuses are kept, the observations behind them are not, and repeated ones count as accepted"
        );
    }
}
