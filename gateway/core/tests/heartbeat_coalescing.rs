//! how rarely a Device is written, and what must not wait.

mod memory;

use apollo_gateway_core::{
    conditions,
    heartbeat::{DeviceFacts, join_device},
    object::DeviceObject,
    policy::Policy,
    time::ClockReading,
};
use apollo_wire::{Malformed, QueueDepth, Report};
use memory::{Memory, device, instance, now, report, running};

/// A Device that has just reported, announcing `next_contact_seconds`.
fn heard(next_contact_seconds: Option<u32>) -> DeviceObject {
    let mut store = Memory::default();
    let first = Report {
        next_contact_seconds,
        agent_version: Some("1".into()),
        queue: Some(QueueDepth {
            pending: 1,
            dropped: 0,
        }),
        ..report(1, vec![])
    };
    let _ = store.report("buoy", first);
    store.device("buoy").clone()
}

/// Whether a report like this, `after_ms` later, is written.
fn is_written(current: &DeviceObject, after_ms: i64, change: impl FnOnce(&mut Report)) -> bool {
    let mut next = Report {
        next_contact_seconds: Some(60),
        ..Report::empty(instance(1), now().plus(after_ms))
    };
    change(&mut next);
    let clock = ClockReading {
        sent_at: next.sent_at,
        received_at: now().plus(after_ms),
    };
    join_device(current, &DeviceFacts::of(&next, clock), 0, &Policy::default()).is_some()
}

#[test]
fn r06_a_heartbeat_is_written_at_a_third_of_the_window_and_not_one_before() {
    let current = heard(Some(60));
    assert!(!is_written(&current, 1, |_| {}));
    assert!(!is_written(&current, 29_999, |_| {}));
    assert!(is_written(&current, 30_000, |_| {}));
    // Another replica's clock is that much ahead.
    assert!(!is_written(&current, -29_999, |_| {}));
    assert!(is_written(&current, -30_000, |_| {}));
}

#[test]
fn r06_the_end_of_a_drain_is_written_and_its_course_is_not() {
    let current = heard(Some(60));
    let queued = |pending| {
        move |next: &mut Report| {
            next.observations = vec![running(1, "own"), running(2, "own")];
            next.queue = Some(QueueDepth { pending, dropped: 0 });
        }
    };
    assert!(!is_written(&current, 1, queued(3)), "one row is left");
    assert!(is_written(&current, 1, queued(2)), "none is left");
}

#[test]
fn r06_reporting_every_second_costs_one_write_per_third_of_the_window() {
    let mut store = Memory::with(&[("own", "buoy")]);
    for second in 0..90 {
        let seen = running(u64::try_from(second).unwrap() + 1, "own");
        let sent = Report {
            next_contact_seconds: Some(60),
            ..report(1, vec![seen])
        };
        let _ = store.report_at("buoy", sent, second * 1000);
    }
    assert_eq!(store.device_writes, 3, "at 0, 30 and 60 s");
}

#[test]
fn what_people_watch_is_written_at_once() {
    let current = heard(Some(60));
    assert!(!is_written(&current, 1, |report| report.agent_version = Some("1".into())));
    assert!(is_written(&current, 1, |report| report.agent_version = Some("2".into())));
    let queue = |pending, dropped| Some(QueueDepth { pending, dropped });
    assert!(!is_written(&current, 1, |report| report.queue = queue(9, 0)));
    assert!(
        is_written(&current, 1, |report| report.queue = queue(0, 1)),
        "R-09: loss is never silent"
    );
}

#[test]
fn r09_rows_dropped_while_more_wait_are_written_at_once() {
    let mut current = heard(Some(60));
    let queue = |pending, dropped| Some(QueueDepth { pending, dropped });
    current.status.queue = queue(5, 2);
    assert!(!is_written(&current, 1, |report| report.queue = queue(5, 2)));
    assert!(is_written(&current, 1, |report| report.queue = queue(5, 3)));
    // A new instance begins to count anew: no loss.
    assert!(!is_written(&current, 1, |report| report.queue = queue(5, 0)));
}

#[test]
fn r06_a_queue_that_stays_empty_is_not_written() {
    let mut current = heard(Some(60));
    let empty = Some(QueueDepth::default());
    current.status.queue = empty;
    assert!(!is_written(&current, 1, |report| report.queue = empty));
}

#[test]
fn two_reasons_to_write_do_not_cancel_each_other() {
    let current = heard(Some(60));
    assert!(is_written(&current, 1, |report| {
        report.agent_version = Some("2".into());
        report.sent_at = now().plus(-600_000);
    }));
}

#[test]
fn rows_that_cannot_be_read_leave_the_queue_with_the_others() {
    let unreadable = Malformed {
        seq: 2,
        message: "process: expected a name".into(),
    };
    let sent = Report {
        queue: Some(QueueDepth {
            pending: 5,
            dropped: 0,
        }),
        malformed: vec![unreadable],
        ..report(1, vec![running(1, "own")])
    };
    let clock = ClockReading {
        sent_at: now(),
        received_at: now(),
    };
    let left = DeviceFacts::of(&sent, clock).queue.map(|queue| queue.pending);
    assert_eq!(left, Some(3));
}

#[test]
fn a_next_contact_that_changes_what_silence_means_is_written_at_once() {
    let current = heard(Some(60));
    assert!(!is_written(&current, 1, |report| report.next_contact_seconds = Some(30)));
    assert!(is_written(&current, 1, |report| report.next_contact_seconds = Some(3600)));
    let asleep = heard(Some(3600));
    assert!(is_written(&asleep, 1, |report| report.next_contact_seconds = Some(60)));
    assert!(!is_written(&asleep, 20_000, |report| report
        .next_contact_seconds =
        Some(3600)));
}

#[test]
fn the_clock_condition_flips_one_past_the_tolerance_and_back_within_half() {
    let mut store = Memory::default();
    let mut clock = |skew_ms: i64| {
        let mut sent = report(1, vec![]);
        sent.sent_at = now().plus(skew_ms);
        let writes = store.device_writes;
        let _ = store.report("buoy", sent);
        let conditions = &store.device("buoy").status.conditions;
        let status = conditions::find(conditions, conditions::CLOCK_SYNCHRONIZED)
            .unwrap()
            .status
            .clone();
        (status, store.device_writes - writes)
    };
    assert_eq!(clock(30_000), ("True".into(), 1), "the first report");
    assert_eq!(clock(-30_001), ("False".into(), 1));
    assert_eq!(clock(30_000), ("False".into(), 0));
    assert_eq!(clock(15_001), ("False".into(), 0));
    assert_eq!(clock(15_000), ("True".into(), 1));
    assert_eq!(clock(30_000), ("True".into(), 0));
}

#[test]
fn r05_fields_of_others_on_the_device_are_kept() {
    let mut store = Memory::default();
    let _ = store.report("buoy", report(1, vec![]));
    store.edit_device("buoy", |object| {
        object.status.foreign.insert("fleet".into(), "north".into());
    });
    let _ = store.report_at("buoy", report(2, vec![]), 60_000);
    assert_eq!(store.device("buoy").status.foreign["fleet"], "north");
    assert_eq!(store.device("buoy").device, device("buoy"));
}
