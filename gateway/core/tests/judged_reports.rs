//! What becomes of each observation of a report: bindings, orphans, duplicates, malformed ones, and the 403
//! rule.

mod memory;

use apollo_gateway_core::exchange::Outcome;
use apollo_wire::{Gap, GapReason, Malformed, RejectReason, SequenceRange, limits};
use memory::{Memory, NOW, device, now, object, report, running, verdicts};

fn range(first: u64, last: u64) -> SequenceRange {
    SequenceRange { first, last }
}

#[test]
fn r07_an_observation_for_another_devices_process_is_written_nowhere_and_forbidden() {
    let mut store = Memory::with(&[("other", "truck")]);
    let concluded = store.report("buoy", report(1, vec![running(9, "other")]));
    let Outcome::Settled {
        verdicts,
        forbidden: true,
    } = &concluded.outcome
    else {
        panic!("{concluded:?}");
    };
    assert_eq!(
        (verdicts.rejected[0].seq, verdicts.rejected[0].reason),
        (9, RejectReason::NotBound)
    );
    assert_eq!(
        verdicts.rejected[0].message,
        "process default/other is bound to another device"
    );
    assert_eq!((verdicts.acked.len(), verdicts.highest_sequence), (0, 0));
    assert!(store.history().is_empty(), "R-07: never in history");
    assert_eq!(store.process_writes, 0, "R-07: never in a status");
}

#[test]
fn r08_one_bad_observation_never_blocks_the_rest() {
    let mut store = Memory::with(&[("own", "buoy"), ("other", "truck")]);
    let mut long = running(3, "own");
    long.message = "x".repeat(limits::MESSAGE_BYTES + 1);
    let mut future = running(4, "own");
    future.observed_at = now().plus(300_001);
    let mut old = running(5, "own");
    old.observed_at = now().plus(-400 * 86_400_000 - 1);
    let mut sent = report(
        1,
        vec![
            running(1, "own"),
            running(2, "other"),
            long,
            future,
            old,
            running(7, "own"),
        ],
    );
    sent.malformed.push(Malformed {
        seq: 6,
        message: "state: expected a state".into(),
    });
    let concluded = store.report("buoy", sent);
    let reasons: Vec<_> = verdicts(&concluded)
        .rejected
        .iter()
        .map(|rejection| (rejection.seq, rejection.reason))
        .collect();
    assert_eq!(
        reasons,
        [
            (2, RejectReason::NotBound),
            (3, RejectReason::Malformed),
            (4, RejectReason::TimestampInFuture),
            (5, RejectReason::TimestampTooOld),
            (6, RejectReason::Malformed),
        ]
    );
    assert_eq!(verdicts(&concluded).acked, [range(1, 1), range(7, 7)]);
    assert!(matches!(
        concluded.outcome,
        Outcome::Settled { forbidden: false, .. }
    ));
    assert_eq!(store.status("own").sync.unwrap().sequence, 7);
    assert_eq!(store.history().len(), 2);
}

#[test]
fn forbidden_needs_a_not_bound_and_nothing_settled() {
    let mut store = Memory::with(&[("own", "buoy"), ("other", "truck")]);
    let mut long = running(1, "own");
    long.reason = "x".repeat(limits::REASON_BYTES + 1);
    for (sent, expected) in [
        (report(1, vec![long.clone(), running(2, "other")]), true),
        (report(1, vec![long]), false),
        (report(1, vec![]), false),
        (report(1, vec![running(3, "own"), running(2, "other")]), false),
    ] {
        let concluded = store.report("buoy", sent);
        assert!(matches!(concluded.outcome, Outcome::Settled { forbidden, .. } if forbidden == expected));
    }
}

#[test]
fn an_orphan_is_settled_in_history_without_a_status() {
    let mut store = Memory::with(&[]);
    let concluded = store.report("buoy", report(1, vec![running(1, "gone")]));
    assert_eq!(
        (verdicts(&concluded).orphaned, verdicts(&concluded).accepted),
        (1, 0)
    );
    assert_eq!(verdicts(&concluded).acked, [range(1, 1)]);
    assert!(store.history().values().all(|row| row.orphaned));
    let again = store.report("buoy", report(1, vec![running(1, "gone")]));
    assert_eq!((verdicts(&again).orphaned, verdicts(&again).duplicates), (0, 1));
}

#[test]
fn a_cache_that_lags_neither_orphans_nor_refuses() {
    let mut store = Memory::with(&[("moved", "truck")]);
    store.freeze_cache();
    store.put(object("fresh", "buoy"));
    store.edit_process("moved", |object| object.device = device("buoy"));
    let concluded = store.report("buoy", report(1, vec![running(1, "fresh"), running(2, "moved")]));
    assert_eq!(verdicts(&concluded).accepted, 2);
    assert_eq!(store.status("fresh").sync.unwrap().sequence, 1);
    assert_eq!(store.status("moved").sync.unwrap().sequence, 2);
}

#[test]
fn one_sequence_twice_in_a_report_is_a_duplicate_and_the_first_counts() {
    let mut store = Memory::with(&[("own", "buoy")]);
    let mut second = running(1, "own");
    second.pid = Some(2);
    let concluded = store.report("buoy", report(1, vec![running(1, "own"), second]));
    assert_eq!(
        (verdicts(&concluded).accepted, verdicts(&concluded).duplicates),
        (1, 1)
    );
    assert_eq!(store.status("own").pid, None);
}

#[test]
fn a_sequence_is_never_both_settled_and_refused() {
    let mut store = Memory::with(&[("own", "buoy"), ("other", "truck")]);
    let mut sent = report(1, vec![running(1, "other"), running(1, "own"), running(2, "own")]);
    sent.malformed.push(Malformed {
        seq: 2,
        message: "pid: expected a number".into(),
    });
    let concluded = store.report("buoy", sent);
    assert!(verdicts(&concluded).acked.is_empty());
    assert_eq!(verdicts(&concluded).rejected.len(), 2);
}

#[test]
fn r09_gaps_go_into_history_even_without_observations() {
    let mut store = Memory::with(&[]);
    let mut sent = report(1, vec![]);
    let gap = |first, last| Gap {
        first,
        last,
        reason: GapReason::QueueFull,
    };
    sent.gaps = vec![
        gap(3, 9),
        gap(10, 10),
        gap(9, 3),
        gap(1, limits::SEQUENCE_MAX + 1),
    ];
    let concluded = store.report("buoy", sent);
    assert_eq!(
        (store.twin.history.gaps().count(), concluded.effects.gaps),
        (2, 2),
        "only what is a range is kept"
    );
}

#[test]
fn the_answer_names_the_gateways_time_and_the_skew() {
    let mut store = Memory::with(&[]);
    let mut sent = report(1, vec![]);
    sent.sent_at = now().plus(-12);
    let concluded = store.report("buoy", sent);
    assert_eq!(verdicts(&concluded).server_time.get(), NOW);
    assert_eq!(verdicts(&concluded).clock_skew_ms, -12);
}
