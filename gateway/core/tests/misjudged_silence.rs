//! When a Device must be written so that its silence is not misjudged: the marks, at each and one past it.

mod memory;

use apollo_gateway_core::{liveness::Windows, object::DeviceStatus};
use memory::now;

/// Marks: no longer Connected after 120 s, a third is 30 s, the grace after an announced contact is 60 s.
const WINDOWS_MS: u64 = 90_000;

/// Whether a record of now, with this announced contact, misjudges a device that reports `after_ms` later and
/// announces `next_ms`.
fn misjudged(announced_ms: Option<i64>, after_ms: i64, next_ms: Option<i64>) -> bool {
    let recorded = DeviceStatus {
        last_heartbeat_time: Some(now()),
        next_contact_time: announced_ms.map(|ms| now().plus(ms)),
        ..DeviceStatus::default()
    };
    let reported_at = now().plus(after_ms);
    let next = next_ms.map(|ms| reported_at.plus(ms));
    Windows::of(WINDOWS_MS).misjudges(&recorded, reported_at, next)
}

#[test]
fn a_device_is_never_lost_more_than_a_third_too_early() {
    assert!(!misjudged(None, 30_000, None));
    assert!(misjudged(None, 30_001, None));
    assert!(!misjudged(None, 0, Some(90_000)));
    assert!(misjudged(None, 0, Some(90_001)));
}

#[test]
fn a_device_is_never_lost_more_than_a_third_too_late() {
    assert!(!misjudged(Some(90_000), 0, None));
    assert!(misjudged(Some(90_001), 0, None));
}

#[test]
fn a_device_never_heard_is_always_misjudged() {
    let windows = Windows::of(WINDOWS_MS);
    assert!(windows.misjudges(&DeviceStatus::default(), now(), None));
}
