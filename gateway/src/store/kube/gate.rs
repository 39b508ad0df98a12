//! Closed while the API server wants to be left alone: a 429 to one request holds back all of them, whoever makes them.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A 429 without `Retry-After` closes it so long; Kubernetes' own API server always says one second.
const CLOSED_DEFAULT: Duration = Duration::from_secs(1);
/// Longest it is closed, whatever the API server says: as the queue of writes has it.
const CLOSED_MAX: Duration = Duration::from_secs(30);

/// The gate.
#[derive(Debug, Default)]
pub(super) struct Gate {
    closed_until: Mutex<Option<Instant>>,
}

impl Gate {
    /// How long it is still closed, if it is.
    pub(super) fn closed(&self, now: Instant) -> Option<Duration> {
        let closed_until = self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        let left = closed_until.as_ref()?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Closes it for as long as the API server said; a longer time that runs already stays.
    pub(super) fn close(&self, retry_after: Option<Duration>, now: Instant) {
        let until = now + retry_after.unwrap_or(CLOSED_DEFAULT).min(CLOSED_MAX);
        let mut closed_until = self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        *closed_until = Some(closed_until.map_or(until, |running| running.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_closed_for_as_long_as_was_said_and_no_longer() {
        let (gate, now) = (Gate::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(gate.closed(now), None);
        gate.close(Some(second * 7), now);
        gate.close(None, now);
        assert_eq!(
            gate.closed(now + second * 6),
            Some(second),
            "the longer time counts"
        );
        assert_eq!(gate.closed(now + second * 7), None);
        gate.close(Some(second * 3_600), now);
        assert_eq!(gate.closed(now), Some(CLOSED_MAX));
    }
}
