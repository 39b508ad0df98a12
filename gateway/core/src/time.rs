//! What a device's times are worth (DESIGN section 6): correction by measured skew, and what is impossible.
//!
//! A report carries the device's send time, so at receipt the gateway measures `skew = sent_at - received_at`
//! (device minus gateway; the way between them is part of it). One observation is then placed in time:
//!
//! | `clock` | corrected time |
//! | --- | --- |
//! | synced, and the skew within [`Policy::clock_tolerance_ms`] | as observed: the rest of the skew is the link's |
//! | synced otherwise, unsynced | `observed_at - skew` |
//! | unknown | none; it was before receipt, more is not known, and it is never refused for its time |
//!
//! Refused is only what is impossible: observed later than sent by more than [`Policy::max_future_skew_ms`],
//! or, once corrected, older at receipt than [`Policy::max_age_ms`]. Both bounds are inclusive: exactly at
//! the bound is accepted.
//!
//! Two cases need care, both of devices without a battery-backed clock, which count from 1970 until they are set.
//!
//! - After a power cut such a device sends from 1970 what it saw, clock synced, before: "later than sent", yet
//!   true. So where the sending clock is off by more than `max_age_ms` (it reads a time at which no acceptable
//!   observation could have been made), a synced observation that the rules above would refuse keeps its own
//!   time, if that time is possible by the gateway's clock.
//! - What it sees between boot and being set says 1970, clock unsynced, but is sent with the right time: decades
//!   old, yet true. So an unsynced time before [`NEVER_SET_BEFORE_MS`] that would be too old is unknown instead.

use apollo_wire::{Clock, RejectReason, UnixMillis};

use crate::policy::{Policy, signed_ms};

/// 2000-01-01T00:00:00Z. No device that reports here ran before it, so an unsynced clock that reads less has not
/// been set since it began to count, be that from 1970 or from the GPS epoch, 1980.
pub const NEVER_SET_BEFORE_MS: i64 = 946_684_800_000;

/// The two readings a report brings together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClockReading {
    /// By the device's clock, when it sent the report.
    pub sent_at: UnixMillis,
    /// By the gateway's clock, when it had received it.
    pub received_at: UnixMillis,
}

/// An observation's time cannot be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ImpossibleTime {
    /// Observed after it was sent, beyond tolerance.
    #[error("observedAt {observed_at} is {ahead_ms} ms later than sentAt, at most {max_ms} are allowed")]
    Future {
        /// What the device said.
        observed_at: UnixMillis,
        /// How much later than sent.
        ahead_ms: i64,
        /// The tolerance.
        max_ms: u64,
    },
    /// Too long ago.
    #[error("observedAt {observed_at} is {age_ms} ms old after correction, at most {max_ms} are allowed")]
    TooOld {
        /// What the device said.
        observed_at: UnixMillis,
        /// Age at receipt.
        age_ms: i64,
        /// The oldest allowed.
        max_ms: u64,
    },
}

impl ImpossibleTime {
    /// The contract's word for it.
    pub fn reason(&self) -> RejectReason {
        match self {
            Self::Future { .. } => RejectReason::TimestampInFuture,
            Self::TooOld { .. } => RejectReason::TimestampTooOld,
        }
    }
}

impl ClockReading {
    /// The device's clock minus the gateway's, milliseconds.
    pub fn skew_ms(self) -> i64 {
        self.sent_at.since(self.received_at)
    }

    /// Places one observation in time: its corrected time, or `None` if nothing relates its clock to ours.
    ///
    /// # Errors
    /// If the time is impossible (see the module's text).
    pub fn place(
        self,
        observed_at: UnixMillis,
        clock: Clock,
        policy: &Policy,
    ) -> Result<Option<UnixMillis>, ImpossibleTime> {
        if clock == Clock::Unknown {
            return Ok(None);
        }
        let skew_ms = self.skew_ms();
        let trusted = clock == Clock::Synced && skew_ms.unsigned_abs() <= policy.clock_tolerance_ms;
        let corrected = if trusted {
            observed_at
        } else {
            observed_at.plus(skew_ms.saturating_neg())
        };
        let by_the_report = possible(observed_at, self.sent_at, corrected, self.received_at, policy);
        let sender_is_lost = clock == Clock::Synced && skew_ms.unsigned_abs() > policy.max_age_ms;
        match by_the_report {
            Ok(()) => Ok(Some(corrected)),
            Err(_)
                if sender_is_lost
                    && possible(
                        observed_at,
                        self.received_at,
                        observed_at,
                        self.received_at,
                        policy,
                    )
                    .is_ok() =>
            {
                Ok(Some(observed_at))
            }
            Err(ImpossibleTime::TooOld { .. })
                if clock == Clock::Unsynced && observed_at.get() < NEVER_SET_BEFORE_MS =>
            {
                Ok(None)
            }
            Err(impossible) => Err(impossible),
        }
    }
}

/// The two rules: not after `not_after`, and `corrected` not too long before `received_at`.
fn possible(
    observed_at: UnixMillis,
    not_after: UnixMillis,
    corrected: UnixMillis,
    received_at: UnixMillis,
    policy: &Policy,
) -> Result<(), ImpossibleTime> {
    let ahead_ms = observed_at.since(not_after);
    if ahead_ms > signed_ms(policy.max_future_skew_ms) {
        return Err(ImpossibleTime::Future {
            observed_at,
            ahead_ms,
            max_ms: policy.max_future_skew_ms,
        });
    }
    let age_ms = received_at.since(corrected);
    if age_ms > signed_ms(policy.max_age_ms) {
        return Err(ImpossibleTime::TooOld {
            observed_at,
            age_ms,
            max_ms: policy.max_age_ms,
        });
    }
    Ok(())
}
