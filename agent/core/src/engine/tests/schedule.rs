//! When the engine talks, and how much it sends.

use std::time::Duration;

use super::*;

#[test]
fn it_starts_with_an_exchange_and_introduces_itself_until_answered() {
    let (mut rig, first) = Rig::new(0);
    assert!(first.poll && first.introduce);
    assert_eq!(first.next_contact_seconds, Some(60));
    assert_eq!((first.max_rows, first.max_bytes), (8, 1_000));
    rig.fail(first, FailureKind::Interrupted, None);
    rig.effects();
    let second = rig.fire();
    assert!(second.introduce, "nobody has answered yet");
    rig.succeed(second, 0, 0);
    rig.effects();
    assert!(!rig.fire().introduce);
}

#[test]
fn an_empty_queue_waits_a_heartbeat_and_rows_a_sync_interval() {
    let (mut rig, first) = Rig::new(0);
    rig.succeed(first, 0, 0);
    assert_eq!(rig.wait(), LIMITS.heartbeat);
    rig.now = rig.now.plus(Duration::from_secs(10));
    rig.tell(Event::Queued { pending: 1 });
    assert_eq!(
        rig.wait(),
        Duration::from_secs(20),
        "30 s after the last exchange"
    );
    let due = rig.engine.poll_timeout().unwrap();
    assert_eq!(
        rig.effects().pop(),
        Some(Effect::RecordPlan(due)),
        "people are told of it"
    );
    rig.tell(Event::Queued { pending: 2 });
    assert_eq!(rig.effects(), []);
    assert_eq!(rig.wait(), Duration::from_secs(20), "more rows do not put it off");
}

#[test]
fn rows_that_come_late_are_sent_at_once_and_those_that_come_early_wait_for_company() {
    let (mut rig, first) = Rig::new(0);
    rig.succeed(first, 0, 0);
    rig.effects();
    rig.now = rig.now.plus(Duration::from_secs(45));
    rig.tell(Event::Queued { pending: 1 });
    assert_eq!(rig.wait(), Duration::ZERO);
    let second = rig.fire();
    rig.succeed(second, 1, 0);
    rig.tell(Event::Queued { pending: 1 });
    assert_eq!(rig.wait(), LIMITS.sync_interval);
}

#[test]
fn a_queue_that_was_emptied_brings_nothing_forward() {
    let (mut rig, first) = Rig::new(1);
    rig.succeed(first, 1, 0);
    rig.effects();
    rig.tell(Event::Queued { pending: 0 });
    assert_eq!((rig.effects(), rig.wait()), (vec![], LIMITS.heartbeat));
}

#[test]
fn rows_that_came_during_an_exchange_wait_for_company() {
    let (mut rig, first) = Rig::new(2);
    rig.answer(first, batch(2), acked(2));
    rig.tell(Event::Settled {
        id: first.id,
        settled: 2,
        pending: 3,
    });
    assert!(rig.status().failure.is_none());
    assert_eq!(rig.wait(), LIMITS.sync_interval);
}

#[test]
fn a_drain_ends_when_the_rest_left_the_queue_meanwhile() {
    let (mut rig, first) = Rig::new(20);
    let more = Batch {
        more: true,
        ..batch(8)
    };
    rig.answer(first, more, acked(8));
    rig.tell(Event::Settled {
        id: first.id,
        settled: 8,
        pending: 0,
    });
    assert_eq!(rig.wait(), LIMITS.heartbeat);
}

#[test]
fn a_drain_goes_on_at_once_and_polls_only_once() {
    let (mut rig, first) = Rig::new(20);
    assert!(first.poll);
    rig.answer(
        first,
        Batch {
            more: true,
            ..batch(8)
        },
        acked(8),
    );
    rig.tell(Event::Settled {
        id: first.id,
        settled: 8,
        pending: 12,
    });
    let [Effect::Settle { .. }, Effect::StartExchange(second)] = rig.effects()[..] else {
        panic!("expected the next exchange at once");
    };
    assert!(!second.poll);
    rig.succeed(second, 8, 0);
    assert_eq!(rig.wait(), LIMITS.heartbeat);
    rig.effects();
    assert!(rig.fire().poll, "a new round polls again");
}

#[test]
fn a_poll_that_failed_is_repeated_by_the_next_exchange_of_the_drain() {
    let (mut rig, first) = Rig::new(20);
    let lost = Failure {
        kind: FailureKind::Status(503),
        retry_after: None,
        message: "busy".to_owned(),
    };
    let (report, batch) = (
        Ok(acked(8)),
        Some(Batch {
            more: true,
            ..batch(8)
        }),
    );
    rig.tell(Event::Exchanged(Exchanged {
        id: first.id,
        batch,
        report,
        desired: DesiredOutcome::Failed(lost),
    }));
    rig.tell(Event::Settled {
        id: first.id,
        settled: 8,
        pending: 12,
    });
    assert!(matches!(
        rig.effects()[..],
        [
            Effect::Settle { .. },
            Effect::StartExchange(StartExchange { poll: true, .. })
        ]
    ));
}

#[test]
fn a_report_too_large_is_halved_down_to_one_row_and_then_waits_loudly() {
    let (mut rig, mut start) = Rig::new(8);
    for rows in [8, 4, 2] {
        assert_eq!(start.max_rows, rows);
        rig.fail_with(start, batch(rows), FailureKind::TooLarge, None);
        start = rig.started();
    }
    assert_eq!(start.max_rows, 1);
    rig.fail_with(start, batch(1), FailureKind::TooLarge, None);
    assert!(rig.wait() >= LIMITS.refused_delay);
    let status = rig.status();
    assert!(status.failure.is_some());
    assert_eq!(status.last_error(), Some("it failed"));
}

#[test]
fn a_halved_batch_lasts_for_the_drain_and_no_longer() {
    let (mut rig, first) = Rig::new(8);
    rig.fail_with(first, batch(8), FailureKind::TooLarge, None);
    let second = rig.started();
    rig.succeed(second, 4, 4);
    let third = match rig.effects().pop() {
        Some(Effect::StartExchange(start)) => start,
        other => panic!("{other:?}"),
    };
    assert_eq!(third.max_rows, 4);
    rig.succeed(third, 4, 0);
    rig.effects();
    assert_eq!(rig.fire().max_rows, 8);
}

#[test]
fn shutdown_makes_one_last_attempt_whatever_comes_of_it() {
    let (mut rig, first) = Rig::new(0);
    rig.succeed(first, 0, 0);
    rig.effects();
    rig.tell(Event::Shutdown);
    let last = rig.started();
    assert_eq!((last.poll, last.next_contact_seconds), (false, None));
    rig.tell(Event::Shutdown);
    assert_eq!(rig.effects(), []);
    rig.fail(last, FailureKind::Unreachable, None);
    assert_eq!(rig.engine.state(), State::Stopped);
    assert!(matches!(
        rig.effects()[..],
        [
            Effect::RecordStatus(Status { failure: Some(_), .. }),
            Effect::Stop
        ]
    ));
}

#[test]
fn shutdown_during_an_exchange_waits_for_it_and_sends_what_came_since() {
    let (mut rig, first) = Rig::new(1);
    rig.tell(Event::Shutdown);
    assert_eq!(rig.effects(), []);
    rig.answer(first, batch(1), acked(1));
    rig.tell(Event::Settled {
        id: first.id,
        settled: 1,
        pending: 2,
    });
    let last = match rig.effects().pop() {
        Some(Effect::StartExchange(start)) => start,
        other => panic!("{other:?}"),
    };
    rig.succeed(last, 2, 0);
    assert_eq!(rig.effects().pop(), Some(Effect::Stop));
    assert_eq!(rig.engine.poll_timeout(), None);
}

#[test]
fn a_situation_comes_again_although_numbers_and_moments_do_not() {
    let (mut rig, first) = Rig::new(0);
    rig.succeed(first, 0, 0);
    rig.effects();
    let (rested, until) = (rig.engine.situation(), rig.engine.poll_timeout());
    let second = rig.fire();
    assert_ne!(rig.engine.situation(), rested);
    rig.succeed(second, 0, 0);
    rig.effects();
    assert_eq!(rig.engine.situation(), rested);
    assert_ne!(rig.engine.poll_timeout(), until);
    rig.tell(Event::Queued { pending: 1 });
    assert_ne!(rig.engine.situation(), rested);
}
