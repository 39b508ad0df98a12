//! How long to stay away after a failed exchange.
//!
//! The growth and its cap come from the `backoff` crate, which nobody develops any more; this module is the only one
//! that knows it. The crate likes to read a clock and to roll dice itself. Neither reaches a result here: time only
//! decides where a maximum elapsed time is set, and there is none; its dice are scaled by a randomization factor of
//! zero. Jitter is ours and follows from the seed, so equal seeds give equal delays (a test below holds this).

use std::{
    hash::{Hash, Hasher},
    time::Duration,
};

use ::backoff::{
    SystemClock, backoff::Backoff as _, exponential::ExponentialBackoff,
    exponential::ExponentialBackoffBuilder,
};

use crate::jitter::Jitter;

/// Each delay is twice the one before: four failures cost a quarter minute of waiting, ten reach any sensible cap.
const MULTIPLIER: f64 = 2.0;

/// Delays that double from `initial` to `cap`, each drawn from the upper half of its range so that a fleet that lost its
/// gateway in one instant does not come back in one instant.
#[derive(Debug, Clone)]
pub struct Backoff {
    delays: ExponentialBackoff<SystemClock>,
    cap: Duration,
}

impl Backoff {
    /// A backoff whose first delay is at most `initial` and whose every delay is at most `cap`.
    #[must_use]
    pub fn new(initial: Duration, cap: Duration) -> Self {
        let mut builder = ExponentialBackoffBuilder::<SystemClock>::new();
        builder
            .with_initial_interval(initial.min(cap))
            .with_max_interval(cap)
            .with_multiplier(MULTIPLIER)
            .with_randomization_factor(0.0)
            .with_max_elapsed_time(None);
        Self {
            delays: builder.build(),
            cap,
        }
    }

    /// The next delay: between half and all of the current step.
    pub fn next_delay(&mut self, jitter: &mut Jitter) -> Duration {
        let step = self.delays.next_backoff().unwrap_or(self.cap).min(self.cap);
        // Whole milliseconds: the crate works in floating point nanoseconds, of which the last is not exact.
        let step = Duration::from_millis(u64::try_from(step.as_millis()).unwrap_or(u64::MAX));
        step / 2 + jitter.up_to(step - step / 2)
    }

    /// Back to the first delay, after a success.
    pub fn reset(&mut self) {
        self.delays.reset();
    }

    /// All that its delays depend on: the next step, the first one and the cap. The crate's own value also holds the
    /// moment it was made, which counts for nothing without a maximum elapsed time.
    fn steps(&self) -> [Duration; 3] {
        [
            self.delays.current_interval,
            self.delays.initial_interval,
            self.cap,
        ]
    }
}

impl PartialEq for Backoff {
    fn eq(&self, other: &Self) -> bool {
        self.steps() == other.steps()
    }
}

impl Eq for Backoff {}

impl Hash for Backoff {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.steps().hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::*;

    const INITIAL: Duration = Duration::from_secs(1);
    const CAP: Duration = Duration::from_secs(300);

    fn draw(seed: u64, count: usize) -> Vec<Duration> {
        let (mut backoff, mut jitter) = (Backoff::new(INITIAL, CAP), Jitter::new(seed));
        (0..count).map(|_| backoff.next_delay(&mut jitter)).collect()
    }

    #[test]
    fn r11_delays_double_up_to_the_cap_and_stay_in_the_upper_half() {
        let mut step = INITIAL;
        for delay in draw(3, 20) {
            assert!(
                delay >= step / 2 - Duration::from_millis(1) && delay <= step,
                "{delay:?} of {step:?}"
            );
            step = (step * 2).min(CAP);
        }
    }

    #[test]
    fn r11_equal_seeds_give_equal_delays_and_others_differ() {
        assert_eq!(draw(7, 12), draw(7, 12));
        assert_ne!(draw(7, 12), draw(8, 12));
    }

    #[test]
    fn r11_a_reset_starts_over() {
        let (mut backoff, mut jitter) = (Backoff::new(INITIAL, CAP), Jitter::new(1));
        for _ in 0..8 {
            backoff.next_delay(&mut jitter);
        }
        backoff.reset();
        assert!(backoff.next_delay(&mut jitter) <= INITIAL);
    }

    #[test]
    fn equal_backoffs_give_equal_delays_whenever_they_were_made() {
        let (mut one, mut jitter) = (Backoff::new(INITIAL, CAP), Jitter::new(1));
        let other = Backoff::new(INITIAL, CAP);
        assert_eq!(one, other);
        one.next_delay(&mut jitter);
        assert_ne!(one, other);
        one.reset();
        assert_eq!(one, other);
    }

    #[test]
    fn an_initial_delay_above_the_cap_is_the_cap() {
        let (mut backoff, mut jitter) = (Backoff::new(CAP * 2, CAP), Jitter::new(1));
        assert!(backoff.next_delay(&mut jitter) <= CAP);
    }

    /// The model checker tells the states it has met by their hashes.
    #[test]
    fn what_differs_in_any_of_its_steps_has_another_hash() {
        let hash = |backoff: &Backoff| BuildHasherDefault::<DefaultHasher>::default().hash_one(backoff);
        let fresh = Backoff::new(INITIAL, CAP);
        assert_eq!(hash(&fresh), hash(&Backoff::new(INITIAL, CAP)));
        let mut used = fresh.clone();
        used.next_delay(&mut Jitter::new(1));
        for other in [
            used,
            Backoff::new(INITIAL * 2, CAP),
            Backoff::new(INITIAL, CAP / 2),
        ] {
            assert_ne!(other, fresh);
            assert_ne!(hash(&other), hash(&fresh));
        }
    }
}
