//! A device's clock: off, stepped, or counting from 1970.

use apollo_wire::{Clock, UnixMillis};

use crate::plan::Millis;

/// The true time when the world begins, milliseconds since 1970: some day in 2027.
const BEGINNING_MS: i64 = 1_800_000_000_000;

/// `apollo_agent::clock`: a clock that reads less was never set.
const EARLIEST_PLAUSIBLE_MS: i64 = 1_735_689_600_000;

/// True time, as nobody in the world can read it.
pub fn true_time(now: Millis) -> UnixMillis {
    UnixMillis::saturating(BEGINNING_MS).plus(now.cast_signed())
}

/// A clock with an error that stays until somebody steps it.
#[derive(Debug, Clone, Copy)]
pub struct DeviceClock {
    off_by_ms: i64,
    is_disciplined: bool,
}

impl DeviceClock {
    /// A clock that is right.
    pub fn right() -> Self {
        Self {
            off_by_ms: 0,
            is_disciplined: true,
        }
    }

    /// A clock that begins to count from 1970 now.
    pub fn lost(now: Millis) -> Self {
        Self {
            off_by_ms: -BEGINNING_MS - now.cast_signed(),
            is_disciplined: false,
        }
    }

    /// Steps it.
    pub fn step(&mut self, by_ms: i64, is_disciplined: bool) {
        self.off_by_ms = self.off_by_ms.saturating_add(by_ms);
        self.is_disciplined = is_disciplined;
    }

    /// What it reads.
    pub fn read(&self, now: Millis) -> UnixMillis {
        true_time(now).plus(self.off_by_ms)
    }

    /// What the machine thinks of it.
    pub fn trust(&self, now: Millis) -> Clock {
        if self.is_disciplined && self.read(now).get() >= EARLIEST_PLAUSIBLE_MS {
            Clock::Synced
        } else {
            Clock::Unsynced
        }
    }
}
