//! A token bucket, and pauses that empty it.

use super::WriteLimits;
use crate::tracker::MonotonicMs;

/// Parts of a token, so that one millisecond at one token a second is a whole number of them.
const PARTS: u64 = 1_000;

/// Says when the next request may be sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Rate {
    per_second: u64,
    full_parts: u64,
    pause_default_ms: u64,
    pause_max_ms: u64,
    parts: u64,
    /// When `parts` was right; in the future during a pause.
    as_of_ms: MonotonicMs,
    paused_until_ms: MonotonicMs,
}

impl Rate {
    pub(super) fn new(limits: &WriteLimits) -> Self {
        let full_parts = u64::from(limits.burst.max(1)) * PARTS;
        Self {
            per_second: u64::from(limits.per_second.max(1)),
            full_parts,
            pause_default_ms: limits.pause_default_ms,
            pause_max_ms: limits.pause_max_ms,
            parts: full_parts,
            as_of_ms: 0,
            paused_until_ms: 0,
        }
    }

    /// The rest of a pause.
    pub(super) fn pause_left_ms(&self, now_ms: MonotonicMs) -> Option<u64> {
        let left_ms = self.paused_until_ms.saturating_sub(now_ms);
        (left_ms > 0).then_some(left_ms)
    }

    /// Starts a pause, or prolongs it; how long it lasts from now. The bucket is empty at its end: who was just told to
    /// slow down does not go on with a burst.
    pub(super) fn pause(&mut self, asked_ms: Option<u64>, now_ms: MonotonicMs) -> u64 {
        let pause_ms = asked_ms.unwrap_or(self.pause_default_ms).min(self.pause_max_ms);
        self.paused_until_ms = self.paused_until_ms.max(now_ms.saturating_add(pause_ms));
        self.parts = 0;
        self.as_of_ms = self.as_of_ms.max(now_ms).max(self.paused_until_ms);
        self.paused_until_ms.saturating_sub(now_ms)
    }

    /// `None` if a request may be sent now, else when the next may.
    pub(super) fn next_at_ms(&mut self, now_ms: MonotonicMs) -> Option<MonotonicMs> {
        if now_ms > self.as_of_ms {
            let gained = (now_ms - self.as_of_ms).saturating_mul(self.per_second);
            self.parts = self.parts.saturating_add(gained).min(self.full_parts);
            self.as_of_ms = now_ms;
        }
        let missing = PARTS.saturating_sub(self.parts);
        (missing > 0).then(|| self.as_of_ms.saturating_add(missing.div_ceil(self.per_second)))
    }

    /// One request is sent: `next_at_ms` has just said that it may be.
    pub(super) fn take(&mut self) {
        self.parts = self.parts.saturating_sub(PARTS);
    }
}
