//! The security log: target `apollo_security`, bounded in rate so that an attacker cannot fill a disk with it.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use apollo_wire::DeviceName;

/// Lines in one window; enough to see who and what, too few to fill a disk.
const LINES_MAX: u32 = 100;
/// The window.
const WINDOW: Duration = Duration::from_secs(60);

/// Observations were refused because their DeviceProcess is bound to another device.
pub struct NotBoundRefused<'a> {
    /// Who sent them, by its certificate.
    pub device: &'a DeviceName,
    /// How many, in this report.
    pub observations: usize,
    /// What was said about the first of them.
    pub message: &'a str,
}

/// Counts lines so that there are at most [`LINES_MAX`] a [`WINDOW`].
#[derive(Debug, Default)]
pub struct SecurityLog {
    window: Mutex<Option<Window>>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    lines: u32,
    suppressed: u64,
}

impl NotBoundRefused<'_> {
    /// Logs, unless too much has been logged lately; then the next window says how much is missing.
    pub fn emit(self, log: &SecurityLog) {
        let Some(suppressed) = log.admit(Instant::now()) else {
            return;
        };
        tracing::warn!(
            target: "apollo_security",
            device = %self.device,
            observations = self.observations,
            message = self.message,
            suppressed,
            "NotBound: a device reported on a process bound to another device"
        );
    }
}

impl SecurityLog {
    /// Whether a line may be written now, and how many were not since the last window.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut slot = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        match slot
            .as_mut()
            .filter(|window| now.duration_since(window.began) < WINDOW)
        {
            Some(window) if window.lines < LINES_MAX => {
                window.lines += 1;
                Some(0)
            }
            Some(window) => {
                window.suppressed += 1;
                None
            }
            None => {
                let suppressed = slot.as_ref().map_or(0, |window| window.suppressed);
                *slot = Some(Window {
                    began: now,
                    lines: 1,
                    suppressed: 0,
                });
                Some(suppressed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_per_window_and_the_rest_is_counted() {
        let (log, start) = (SecurityLog::default(), Instant::now());
        assert!((0..LINES_MAX).all(|_| log.admit(start) == Some(0)));
        assert_eq!(log.admit(start), None);
        assert_eq!(log.admit(start), None);
        assert_eq!(log.admit(start + WINDOW), Some(2));
        assert_eq!(log.admit(start + WINDOW), Some(0));
    }
}
