//! nothing that waits is starved. Once exchanges work again everything pending is served, without a pause between
//! full batches, in as few exchanges as what fits into one allows; and every delay keeps its bounds.

use std::time::Duration;

use proptest::prelude::*;

use super::super::delay;
use super::*;
use crate::{backoff::Backoff, jitter::Jitter};

/// Steps and delays are whole milliseconds.
const INEXACT: Duration = Duration::from_millis(1);

fn kinds() -> impl Strategy<Value = FailureKind> {
    prop_oneof![
        Just(FailureKind::Unreachable),
        Just(FailureKind::Rejected),
        Just(FailureKind::Interrupted),
        (100u16..600).prop_map(FailureKind::Status),
        Just(FailureKind::TooLarge),
        Just(FailureKind::Malformed),
        Just(FailureKind::Storage),
        Just(FailureKind::Busy),
    ]
}

/// The exchange that begins at once, if one does.
fn begun(rig: &mut Rig) -> Option<StartExchange> {
    rig.effects().into_iter().find_map(|effect| match effect {
        Effect::StartExchange(start) => Some(start),
        _ => None,
    })
}

/// The rows of an exchange that takes all it may of `pending`.
fn offered(start: StartExchange, pending: u64) -> u32 {
    start.max_rows.min(u32::try_from(pending).unwrap())
}

proptest! {
    #[test]
    fn r11_after_any_trouble_everything_pending_is_served_within_a_bound(
        rows in 1..300_u64,
        fits in 1..20_u32,
        troubles in proptest::collection::vec((kinds(), proptest::option::of(0..5_000_u64)), 0..40),
    ) {
        let (mut rig, mut start) = Rig::new(rows);
        let mut pending = rows;
        for (kind, retry_after) in troubles {
            let rows = offered(start, pending);
            // "Too large" is only said of what is.
            let kind = match kind {
                FailureKind::TooLarge if rows <= fits => FailureKind::Interrupted,
                other => other,
            };
            rig.fail_with(start, batch(rows), kind, retry_after.map(Duration::from_secs));
            start = match begun(&mut rig) {
                Some(smaller) => smaller,
                None => {
                    let longest = (LIMITS.retry_after_cap * 11 / 10).max(LIMITS.refused_delay).max(LIMITS.backoff_cap);
                    prop_assert!(rig.wait() <= longest, "{:?}", rig.wait());
                    rig.fire()
                }
            };
        }
        // From here on all works, but for reports of more rows than fit.
        let healed = rig.now;
        let mut exchanges = 0;
        while pending > 0 {
            exchanges += 1;
            let rows = offered(start, pending);
            if rows > fits {
                rig.fail_with(start, batch(rows), FailureKind::TooLarge, None);
            } else {
                pending -= u64::from(rows);
                rig.succeed(start, rows, pending);
            }
            match begun(&mut rig) {
                Some(next) => start = next,
                None => prop_assert_eq!(pending, 0, "a pause with rows waiting"),
            }
        }
        prop_assert_eq!(rig.now, healed, "no waiting between batches");
        // Halving finds a size that fits, more than half of what would fit; the last batch may be smaller.
        let halvings = u64::from(LIMITS.batch_rows.ilog2());
        let least = u64::from(fits.min(LIMITS.batch_rows).div_ceil(2));
        prop_assert!(exchanges <= halvings + rows.div_ceil(least), "{exchanges} exchanges for {rows} rows");
    }

    #[test]
    fn r11_a_delay_keeps_its_bounds_and_is_never_shorter_than_told(
        kind in kinds(), told in proptest::option::of(any::<u64>()), failures in 0..40_u32, seed in any::<u64>(),
    ) {
        let (mut backoff, mut jitter) =
            (Backoff::new(LIMITS.backoff_initial, LIMITS.backoff_cap), Jitter::new(seed));
        for _ in 0..failures {
            backoff.next_delay(&mut jitter);
        }
        let failure = Failure {
            kind,
            retry_after: told.map(Duration::from_secs),
            message: String::new(),
        };
        let delay = delay::after(&failure, &LIMITS, &mut backoff, &mut jitter);
        let step = LIMITS.backoff_initial.saturating_mul(2_u32.saturating_pow(failures)).min(LIMITS.backoff_cap);
        let told = failure.retry_after.unwrap_or_default().min(LIMITS.retry_after_cap);
        prop_assert!(delay >= told && delay + INEXACT >= step / 2, "{:?}", delay);
        prop_assert!(delay <= step.max(LIMITS.refused_delay).max(told + told / 10), "{:?}", delay);
        let passes_by_itself = matches!(kind, FailureKind::Status(408 | 425 | 429 | 500..))
            || matches!(kind, FailureKind::Unreachable | FailureKind::Interrupted | FailureKind::Busy);
        if passes_by_itself && failure.retry_after.is_none() {
            prop_assert!(delay <= step, "{:?} of {:?}", delay, step);
        }
    }
}
