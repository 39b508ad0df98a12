//! Time as the cores see it: a value that somebody else read from a clock.

use std::time::Duration;

/// A reading of a clock that never goes back, in milliseconds since an origin its owner chose.
///
/// Only differences mean anything. The drivers read a real clock, the tests and the simulator make one up.
/// Arithmetic saturates: a deadline too far away to express is simply never reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(u64);

impl Monotonic {
    /// The origin of the clock.
    pub const ZERO: Self = Self(0);

    /// A reading of `millis` milliseconds after the origin.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the origin.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment `duration` later, rounded up to a whole millisecond so that a timer never fires early.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = duration.as_nanos().div_ceil(1_000_000);
        Self(self.0.saturating_add(u64::try_from(millis).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this moment is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_rounded_up_and_never_early() {
        let at = Monotonic::from_millis(10).plus(Duration::from_micros(1));
        assert_eq!(at, Monotonic::from_millis(11));
        assert_eq!(
            Monotonic::ZERO.plus(Duration::from_millis(7)),
            Monotonic::from_millis(7)
        );
    }

    #[test]
    fn differences_and_sums_saturate() {
        assert_eq!(
            Monotonic::from_millis(3).since(Monotonic::from_millis(5)),
            Duration::ZERO
        );
        assert_eq!(
            Monotonic::from_millis(5).since(Monotonic::from_millis(3)),
            Duration::from_millis(2)
        );
        assert_eq!(
            Monotonic::from_millis(1).plus(Duration::MAX),
            Monotonic::from_millis(u64::MAX)
        );
    }
}
