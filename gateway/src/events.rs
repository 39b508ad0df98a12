//! What happens, as values: each event logs and counts in one place (docs/telemetry.md lists them).

use std::net::SocketAddr;

use tracing::{info, warn};

use crate::metrics::{HandshakeLabel, Metrics};

mod history;
mod kube;
mod requests;
mod security;
mod stores;

pub use history::{HistoryFails, HistoryWorks};
pub use kube::{
    ApiServerFails, ApiServerWorksAgain, EventsRefused, HistoryNotKept, ObjectLeftOut, WatchBroken,
    WatchListsAnew, WritesCoalesced,
};
pub use requests::RequestAnswered;
pub use security::{NotBoundRefused, SecurityLog};
pub use stores::{
    DeviceRegistered, InstanceMet, ProcessesLeftOut, ReportSettled, RolledBackDeviceMet, StatusWritten,
    WatchEnded,
};

/// Everything is bound and being served.
pub struct Serving<'a> {
    /// UDP addresses.
    pub udp: &'a [SocketAddr],
    /// TCP address.
    pub admin: SocketAddr,
}

impl Serving<'_> {
    /// Logs.
    pub fn emit(self) {
        info!(udp = ?self.udp, admin = %self.admin, "serving");
    }
}

/// A drain has begun.
pub struct DrainBegun {
    /// How long it may take.
    pub grace: std::time::Duration,
}

impl DrainBegun {
    /// Logs.
    pub fn emit(self) {
        info!(grace = ?self.grace, "draining");
    }
}

/// A drain is over.
pub struct DrainEnded {
    /// Whether everything under way was finished; otherwise it was cut off.
    pub complete: bool,
}

impl DrainEnded {
    /// Logs.
    pub fn emit(self) {
        if self.complete {
            info!("drained");
        } else {
            warn!("drain cut off at the end of its grace");
        }
    }
}

/// A connection's handshake is over.
pub struct HandshakeFinished {
    /// "full", "resumed" or "early".
    pub kind: &'static str,
}

impl HandshakeFinished {
    /// Counts.
    pub fn emit(self, metrics: &Metrics) {
        metrics
            .handshakes
            .get_or_create(&HandshakeLabel { kind: self.kind })
            .inc();
    }
}

/// A connection was refused because the gateway is full.
pub struct ConnectionRefused;

impl ConnectionRefused {
    /// Logs, quietly: whoever floods us must not fill the log.
    pub fn emit(self) {
        tracing::debug!("connection refused");
    }
}

/// New PEM files are in force.
pub struct TlsReloaded {
    /// Changes when the devices' authority did.
    pub authority_generation: u64,
}

impl TlsReloaded {
    /// Logs.
    pub fn emit(self) {
        info!(
            authority_generation = self.authority_generation,
            "TLS files reloaded"
        );
    }
}

/// New PEM files cannot be used.
pub struct TlsReloadFailed<'a> {
    /// Why.
    pub error: &'a str,
}

impl TlsReloadFailed<'_> {
    /// Logs.
    pub fn emit(self) {
        warn!(
            error = self.error,
            "TLS files changed and cannot be used; the old ones stay in force"
        );
    }
}
