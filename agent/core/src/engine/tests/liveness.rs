//! something always happens next, and failures are met with growing, bounded delays.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

#[test]
fn r11_delays_grow_are_capped_and_start_over_after_a_success() {
    let (mut rig, mut start) = Rig::new(1);
    let mut waits = vec![];
    for _ in 0..8 {
        rig.fail(start, FailureKind::Unreachable, None);
        rig.effects();
        waits.push(rig.wait());
        start = rig.fire();
    }
    assert!(
        waits[0] <= Duration::from_secs(1) && waits[3] > waits[0] * 3,
        "{waits:?}"
    );
    assert!(waits.iter().all(|wait| *wait <= LIMITS.backoff_cap), "{waits:?}");
    rig.succeed(start, 1, 0);
    rig.effects();
    let again = rig.fire();
    rig.fail(again, FailureKind::Unreachable, None);
    assert!(rig.wait() <= LIMITS.backoff_initial);
}

#[test]
fn r11_retry_after_is_a_lower_bound_up_to_its_cap() {
    let wait_for = |seconds| {
        let (mut rig, first) = Rig::new(1);
        rig.fail(
            first,
            FailureKind::Status(503),
            Some(Duration::from_secs(seconds)),
        );
        rig.wait()
    };
    assert!((Duration::from_secs(50)..=Duration::from_secs(55)).contains(&wait_for(50)));
    assert!(wait_for(1_000) >= LIMITS.retry_after_cap);
    assert!(wait_for(1_000_000) <= LIMITS.retry_after_cap * 11 / 10);
}

#[test]
fn r11_new_rows_do_not_shorten_the_delay_after_a_failure() {
    let (mut rig, first) = Rig::new(1);
    rig.fail(first, FailureKind::Status(503), Some(Duration::from_secs(500)));
    let before = rig.wait();
    rig.tell(Event::Queued { pending: 50 });
    assert_eq!(rig.wait(), before);
}

#[test]
fn r11_a_batch_without_rows_is_not_followed_by_another_at_once() {
    let (mut rig, first) = Rig::new(5);
    // Rows that the counter knows and the queue does not have.
    rig.succeed(first, 0, 5);
    rig.effects();
    assert_eq!(rig.wait(), LIMITS.sync_interval);
}

#[test]
fn r11_a_timer_that_fires_early_changes_nothing() {
    let (mut rig, first) = Rig::new(0);
    rig.succeed(first, 0, 0);
    rig.effects();
    rig.now = rig.now.plus(LIMITS.heartbeat - Duration::from_millis(1));
    rig.tell(Event::TimerFired);
    assert_eq!(rig.effects(), []);
    rig.fire();
}

/// One thing the world may do next, whether it fits or not.
#[derive(Debug, Clone)]
enum Act {
    Queued(u64),
    Fire,
    Answer {
        rows: u32,
        settled: u64,
        more: bool,
        highest: u64,
    },
    Fail {
        kind: FailureKind,
        rows: Option<u32>,
        retry_after: Option<u64>,
    },
    Settled {
        settled: u64,
        pending: u64,
    },
    SettleFailed,
    Renewed(u64),
    RenewFailed,
    Stale,
    Pass(u64),
}

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

fn acts() -> impl Strategy<Value = Act> {
    let retry_after = proptest::option::of(0u64..5_000);
    prop_oneof![
        (0u64..30).prop_map(Act::Queued),
        Just(Act::Fire),
        (0u32..9, 0u64..9, any::<bool>(), 0u64..12).prop_map(|(rows, settled, more, highest)| Act::Answer {
            rows,
            settled,
            more,
            highest
        }),
        (kinds(), proptest::option::of(0u32..9), retry_after).prop_map(|(kind, rows, retry_after)| {
            Act::Fail {
                kind,
                rows,
                retry_after,
            }
        }),
        (0u64..9, 0u64..30).prop_map(|(settled, pending)| Act::Settled { settled, pending }),
        Just(Act::SettleFailed),
        (0u64..30).prop_map(Act::Renewed),
        Just(Act::RenewFailed),
        Just(Act::Stale),
        (0u64..100_000).prop_map(Act::Pass),
    ]
}

fn current(state: State) -> ExchangeId {
    match state {
        State::Exchanging { id } | State::Settling { id } | State::Renewing { id } => id,
        State::Waiting { .. } | State::Stopped => ExchangeId(u64::MAX),
    }
}

fn event(act: Act, rig: &mut Rig) -> Option<Event> {
    let id = current(rig.engine.state());
    Some(match act {
        Act::Queued(pending) => Event::Queued { pending },
        Act::Fire => {
            rig.now = rig.engine.poll_timeout().map_or(rig.now, |due| due.max(rig.now));
            Event::TimerFired
        }
        Act::Answer {
            rows,
            settled,
            more,
            highest,
        } => Event::Exchanged(Exchanged {
            id,
            batch: Some(Batch { more, ..batch(rows) }),
            report: Ok(Verdicts {
                highest_sequence: highest,
                ..acked(settled)
            }),
            desired: DesiredOutcome::NotModified,
        }),
        Act::Fail {
            kind,
            rows,
            retry_after,
        } => {
            let retry_after = retry_after.map(Duration::from_secs);
            let failure = Failure {
                kind,
                retry_after,
                message: String::new(),
            };
            let desired = DesiredOutcome::NotAsked;
            Event::Exchanged(Exchanged {
                id,
                batch: rows.map(batch),
                report: Err(failure),
                desired,
            })
        }
        Act::Settled { settled, pending } => Event::Settled { id, settled, pending },
        Act::SettleFailed => Event::SettleFailed {
            id,
            message: String::new(),
        },
        Act::Renewed(pending) => Event::Renewed { id, pending },
        Act::RenewFailed => Event::RenewFailed {
            id,
            message: String::new(),
        },
        Act::Stale => Event::Settled {
            id: ExchangeId(0),
            settled: 1,
            pending: 0,
        },
        Act::Pass(ms) => {
            rig.now = rig.now.plus(Duration::from_millis(ms));
            return None;
        }
    })
}

proptest! {
    /// Whatever happens in whatever order: a timer is armed, or exactly one operation is running and was asked for.
    #[test]
    fn r11_an_operation_runs_or_a_timer_is_armed(acts in proptest::collection::vec(acts(), 1..200), pending in 0u64..30) {
        let (mut rig, _) = Rig::new(pending);
        for act in acts {
            let Some(event) = event(act, &mut rig) else { continue };
            let before = rig.engine.state();
            rig.tell(event);
            let begun = rig.effects().iter().filter(|effect| matches!(
                effect,
                Effect::StartExchange(_) | Effect::Settle { .. } | Effect::RenewInstance { .. }
            )).count();
            let after = rig.engine.state();
            let running = rig.engine.poll_timeout().is_none();
            prop_assert!(begun <= 1, "{before:?} -> {after:?}: {begun} operations begun at once");
            // An operation is asked for exactly when the engine enters the state that awaits it.
            prop_assert_eq!(begun == 1, running && before != after, "{:?} -> {:?}", before, after);
            if let State::Waiting { until, .. } = after {
                let longest = LIMITS.retry_after_cap * 11 / 10 + LIMITS.refused_delay;
                prop_assert!(until.since(rig.now) <= longest);
            }
        }
    }

    /// verdicts of a reply that knows too much are never settled.
    #[test]
    fn r10_an_old_copy_never_settles(highest in 9u64..100, settled in 0u64..9) {
        let (mut rig, first) = Rig::new(8);
        rig.answer(first, batch(8), Verdicts { highest_sequence: highest, ..acked(settled) });
        let settles = rig.effects().iter().any(|effect| matches!(effect, Effect::Settle { .. }));
        prop_assert!(!settles);
    }
}
