//! How long to wait after a failure.

use std::time::Duration;

use super::{Failure, FailureKind, Limits};
use crate::{backoff::Backoff, jitter::Jitter};

/// The delay before the next try: the backoff's next step, longer where a person has to act first, and never shorter
/// than the gateway's Retry-After.
pub(super) fn after(
    failure: &Failure,
    limits: &Limits,
    backoff: &mut Backoff,
    jitter: &mut Jitter,
) -> Duration {
    let step = backoff.next_delay(jitter);
    let delay = if needs_a_person(failure.kind) {
        step.max(limits.refused_delay)
    } else {
        step
    };
    match failure.retry_after {
        // Jitter goes on top: never earlier than told, and not the whole fleet at the same moment.
        Some(told) => {
            let told = told.min(limits.retry_after_cap);
            delay.max(told + jitter.up_to(told / 10))
        }
        None => delay,
    }
}

/// Whether sending the same again soon is bound to fail the same way. Of the 4xx, those that speak of this moment
/// (408 timeout, 425 too early, 429 too many) pass by themselves.
fn needs_a_person(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Status(status) => (400..=499).contains(&status) && !matches!(status, 408 | 425 | 429),
        FailureKind::TooLarge => true,
        _ => false,
    }
}
