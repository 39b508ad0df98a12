//! Which times are impossible: each bound at the limit and one past, and the clocks that devices really have.

use apollo_gateway_core::{
    policy::Policy,
    time::{ClockReading, ImpossibleTime, NEVER_SET_BEFORE_MS},
};
use apollo_wire::{Clock, RejectReason, UnixMillis};

const NOW: i64 = 1_800_000_000_000;

fn at(ms: i64) -> UnixMillis {
    UnixMillis::saturating(ms)
}

fn tiny() -> Policy {
    Policy {
        max_future_skew_ms: 10,
        max_age_ms: 1000,
        clock_tolerance_ms: 5,
        ..Policy::default()
    }
}

/// Sent at `sent`, received at `NOW`, observed at `observed`; the corrected time, or why it cannot be.
fn place(sent: i64, observed: i64, clock: Clock) -> Result<Option<i64>, RejectReason> {
    let reading = ClockReading {
        sent_at: at(sent),
        received_at: at(NOW),
    };
    let placed = reading.place(at(observed), clock, &tiny());
    placed
        .map(|time| time.map(UnixMillis::get))
        .map_err(|impossible: ImpossibleTime| impossible.reason())
}

#[test]
fn later_than_sent_is_refused_one_past_the_tolerance() {
    for clock in [Clock::Synced, Clock::Unsynced] {
        assert_eq!(place(NOW, NOW + 10, clock), Ok(Some(NOW + 10)));
        assert_eq!(place(NOW, NOW + 11, clock), Err(RejectReason::TimestampInFuture));
    }
}

#[test]
fn later_than_sent_is_judged_by_the_devices_own_clock() {
    // The clock is 100 ms behind: by ours the observation is in the past, but it claims to be later than its
    // report.
    assert_eq!(place(NOW - 100, NOW - 90, Clock::Unsynced), Ok(Some(NOW + 10)));
    assert_eq!(
        place(NOW - 100, NOW - 89, Clock::Unsynced),
        Err(RejectReason::TimestampInFuture)
    );
    // 100 ms ahead: by ours it is in the future, yet possible.
    assert_eq!(place(NOW + 100, NOW + 50, Clock::Synced), Ok(Some(NOW - 50)));
}

#[test]
fn too_old_is_refused_one_past_the_maximum_after_correction() {
    assert_eq!(place(NOW, NOW - 1000, Clock::Synced), Ok(Some(NOW - 1000)));
    assert_eq!(
        place(NOW, NOW - 1001, Clock::Synced),
        Err(RejectReason::TimestampTooOld)
    );
    assert_eq!(
        place(NOW - 100, NOW - 1100, Clock::Unsynced),
        Ok(Some(NOW - 1000))
    );
    assert_eq!(
        place(NOW - 100, NOW - 1101, Clock::Unsynced),
        Err(RejectReason::TimestampTooOld)
    );
}

#[test]
fn a_synchronized_clock_is_not_corrected_by_what_the_link_took() {
    assert_eq!(place(NOW - 5, NOW - 50, Clock::Synced), Ok(Some(NOW - 50)));
    assert_eq!(place(NOW - 6, NOW - 50, Clock::Synced), Ok(Some(NOW - 44)));
    assert_eq!(place(NOW - 5, NOW - 50, Clock::Unsynced), Ok(Some(NOW - 45)));
}

#[test]
fn a_device_that_booted_in_1970_is_corrected_to_now() {
    for clock in [Clock::Synced, Clock::Unsynced] {
        assert_eq!(place(60_000, 59_500, clock), Ok(Some(NOW - 500)));
        assert_eq!(place(60_000, 60_011, clock), Err(RejectReason::TimestampInFuture));
    }
}

#[test]
fn what_was_seen_in_sync_before_a_boot_into_1970_keeps_its_time() {
    assert_eq!(place(60_000, NOW - 500, Clock::Synced), Ok(Some(NOW - 500)));
    assert_eq!(place(60_000, NOW + 10, Clock::Synced), Ok(Some(NOW + 10)));
    assert_eq!(
        place(60_000, NOW + 11, Clock::Synced),
        Err(RejectReason::TimestampInFuture)
    );
    assert_eq!(
        place(60_000, NOW - 1001, Clock::Synced),
        Err(RejectReason::TimestampInFuture)
    );
    // A clock that never claimed to be right earns no such trust.
    assert_eq!(
        place(60_000, NOW - 500, Clock::Unsynced),
        Err(RejectReason::TimestampInFuture)
    );
    // The sending clock is off by exactly the maximum age: still an ordinary skew.
    assert_eq!(
        place(NOW - 1000, NOW - 500, Clock::Synced),
        Err(RejectReason::TimestampInFuture)
    );
    assert_eq!(place(NOW - 1001, NOW - 500, Clock::Synced), Ok(Some(NOW - 500)));
}

#[test]
fn what_was_seen_before_the_clock_was_first_set_has_no_known_time() {
    let set = NEVER_SET_BEFORE_MS;
    assert_eq!(place(NOW, 60_000, Clock::Unsynced), Ok(None));
    assert_eq!(place(NOW, set - 1, Clock::Unsynced), Ok(None));
    assert_eq!(
        place(NOW, set, Clock::Unsynced),
        Err(RejectReason::TimestampTooOld)
    );
    assert_eq!(
        place(NOW, 60_000, Clock::Synced),
        Err(RejectReason::TimestampTooOld)
    );
}

#[test]
fn an_unknown_clock_has_no_time_and_is_never_refused_for_it() {
    for observed in [
        UnixMillis::MIN.get(),
        0,
        NOW + 1_000_000_000,
        UnixMillis::MAX.get(),
    ] {
        assert_eq!(place(NOW, observed, Clock::Unknown), Ok(None));
    }
}

#[test]
fn the_ends_of_time_do_no_harm() {
    let ends = [UnixMillis::MIN.get(), UnixMillis::MAX.get()];
    for sent in ends {
        for observed in ends {
            let _ = place(sent, observed, Clock::Synced);
            let _ = place(sent, observed, Clock::Unsynced);
        }
    }
}
