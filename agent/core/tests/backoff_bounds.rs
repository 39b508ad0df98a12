//! the backoff's delays, for any first delay, cap and seed: doubling, between half and all of each step, capped,
//! and from the start again after a success.

use std::time::Duration;

use apollo_agent_core::{backoff::Backoff, jitter::Jitter};
use proptest::prelude::*;

/// The crate below works in floating point: a step may be a millisecond off per doubling.
const INEXACT: Duration = Duration::from_millis(1);

/// The definition: the step of the `n`th delay.
fn step(initial: Duration, cap: Duration, n: u32) -> Duration {
    initial.saturating_mul(2_u32.saturating_pow(n)).min(cap)
}

proptest! {
    #[test]
    fn r11_every_delay_lies_between_half_and_all_of_its_step(
        initial_ms in 1..10_000_u64, cap_ms in 1..3_600_000_u64, seed in any::<u64>(), count in 1..40_u32,
    ) {
        let (initial, cap) = (Duration::from_millis(initial_ms), Duration::from_millis(cap_ms));
        let (mut backoff, mut jitter) = (Backoff::new(initial, cap), Jitter::new(seed));
        for round in 0..2 {
            for n in 0..count {
                let (delay, step) = (backoff.next_delay(&mut jitter), step(initial, cap, n));
                prop_assert!(delay <= step, "round {round}, delay {n}: {delay:?} of {step:?}");
                prop_assert!(delay + INEXACT >= step / 2, "round {round}, delay {n}: {delay:?} of {step:?}");
            }
            // After a success the second round starts over.
            backoff.reset();
        }
    }

    #[test]
    fn r11_delays_spread_over_the_upper_half(seed in any::<u64>()) {
        let longest = Duration::from_secs(100);
        let (mut backoff, mut jitter) = (Backoff::new(longest, longest), Jitter::new(seed));
        let delays: Vec<_> = (0..200).map(|_| backoff.next_delay(&mut jitter)).collect();
        let quarter = longest / 4;
        prop_assert!(delays.iter().any(|delay| *delay < longest / 2 + quarter / 2));
        prop_assert!(delays.iter().any(|delay| *delay > longest - quarter / 2));
    }
}
