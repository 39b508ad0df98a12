//! The numbers the engine works with. Tests use tiny ones.

use std::time::Duration;

/// Intervals and bounds of the sync engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// How long rows may wait for company before they are sent: fewer, fuller reports cost fewer bytes.
    pub sync_interval: Duration,
    /// How long the device may be silent when nothing waits. Announced to the gateway as the next contact.
    pub heartbeat: Duration,
    /// Most rows in one report.
    pub batch_rows: u32,
    /// Most bytes of stored rows in one report.
    pub batch_bytes: u64,
    /// First delay after a failure.
    pub backoff_initial: Duration,
    /// Longest delay after a failure.
    pub backoff_cap: Duration,
    /// Delay after a refusal that waiting alone does not cure (400, 401, 403 and the like).
    pub refused_delay: Duration,
    /// Longest Retry-After that is honoured.
    pub retry_after_cap: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sync_interval: Duration::from_secs(30),
            heartbeat: Duration::from_secs(60),
            // Columnar frames gain little beyond 1000 rows, and one lost exchange then costs at most some 9 kB.
            batch_rows: 1_000,
            // Rows with long messages: at 256 KiB before compression a report stays far below the gateway's 1 MiB.
            batch_bytes: 256 * 1024,
            // One lost datagram or a gateway that restarts is over in a second.
            backoff_initial: Duration::from_secs(1),
            // A failed attempt costs about 4 kB: at most 50 kB an hour while the link is dark.
            backoff_cap: Duration::from_secs(300),
            // A person has to act (bind a process, renew a certificate, unblock a device); asking often helps nobody.
            refused_delay: Duration::from_secs(300),
            // A gateway's typing error must not silence a device for a week.
            retry_after_cap: Duration::from_secs(3_600),
        }
    }
}

impl Limits {
    /// What is announced as the next contact, seconds, rounded up: the longest silence that is intended.
    #[must_use]
    pub fn next_contact_seconds(&self) -> u32 {
        let whole = self
            .heartbeat
            .as_secs()
            .saturating_add(u64::from(self.heartbeat.subsec_nanos() > 0));
        u32::try_from(whole).unwrap_or(u32::MAX)
    }

    /// How long to wait while rows wait: never longer than a heartbeat.
    #[must_use]
    pub fn interval_with_rows(&self) -> Duration {
        self.sync_interval.min(self.heartbeat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_contact_is_rounded_up() {
        let contact = |heartbeat| {
            Limits {
                heartbeat,
                ..Limits::default()
            }
            .next_contact_seconds()
        };
        assert_eq!(contact(Duration::from_secs(60)), 60);
        assert_eq!(contact(Duration::from_millis(1_001)), 2);
        assert_eq!(contact(Duration::MAX), u32::MAX);
    }
}
