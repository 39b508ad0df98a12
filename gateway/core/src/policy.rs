//! Every number the gateway's decisions depend on, as one value: operators set some, tests use tiny ones.

use crate::object::DeviceObject;

/// Whether a device without a Device object gets one at its first report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Registration {
    /// `--register auto`: it is created. The client certificate is the credential.
    #[default]
    Auto,
    /// `--register manual`: the report is refused until an operator has created the object.
    Manual,
}

/// Limits, tolerances and retry bounds. The default is what `apollo-gateway serve` uses without flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policy {
    /// `--max-future-skew`: how much later than its report an observation may claim to be. Five minutes allow
    /// for a clock that was stepped back between the two, as NTP does after a cold boot.
    pub max_future_skew_ms: u64,
    /// `--max-age`: oldest observation accepted. 400 days let a device report a whole year after a winter in
    /// store.
    pub max_age_ms: u64,
    /// Measured skew up to which a device's clock counts as synchronized. The measurement includes the way to
    /// the gateway, and a large report over a satellite link takes many seconds: 30 of them say nothing about
    /// the clock.
    pub clock_tolerance_ms: u64,
    /// `--stale-after`: silence after which a device is no longer Connected. 90 s is one and a half default
    /// heartbeats.
    pub stale_after_ms: u64,
    /// `--register`.
    pub registration: Registration,
    /// Compare-and-swap attempts of one exchange before it says 503. Eight, with doubling pauses, outlast the
    /// writers a status really has (two replicas, an operator); more would only feed a conflict storm.
    pub cas_attempts: u32,
    /// Longest pause before the second attempt; doubles per attempt. About one round trip to an API server.
    pub cas_pause_first_ms: u64,
    /// Longest pause before any attempt: the device waits on an open stream meanwhile.
    pub cas_pause_max_ms: u64,
    /// `Retry-After` of a 503 when the store named no time: an API server's usual restart.
    pub busy_retry_after_ms: u64,
    /// Instances remembered per device (`epoch`). Each is a wiped or restored queue database, so tens are
    /// many; 64 keep the Device object below 8 KiB.
    pub instances_kept: usize,
    /// How long repair of `AgentConnected` waits for the writer that is usually just doing it, and how long a
    /// marking that did not take effect waits to be tried again.
    pub repair_after_ms: u64,
    /// Most markings and repairs handed out at once, so that an outage that silences all devices does not
    /// become a burst of writes.
    pub repairs_at_once: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_future_skew_ms: 5 * 60 * 1000,
            max_age_ms: 400 * 24 * 60 * 60 * 1000,
            clock_tolerance_ms: 30 * 1000,
            stale_after_ms: 90 * 1000,
            registration: Registration::Auto,
            cas_attempts: 8,
            cas_pause_first_ms: 20,
            cas_pause_max_ms: 500,
            busy_retry_after_ms: 5 * 1000,
            instances_kept: 64,
            repair_after_ms: 2 * 1000,
            repairs_at_once: 64,
        }
    }
}

impl Policy {
    /// The staleness window of one device: its own `spec.staleAfter`, or the gateway's. At least 3 ms, so
    /// that a third of it is something.
    pub fn stale_after_of_ms(&self, device: &DeviceObject) -> u64 {
        device.stale_after_ms.unwrap_or(self.stale_after_ms).max(3)
    }
}

/// A length of time as the difference of two wall times has it; what does not fit is as good as forever.
pub(crate) fn signed_ms(length_ms: u64) -> i64 {
    i64::try_from(length_ms).unwrap_or(i64::MAX)
}
