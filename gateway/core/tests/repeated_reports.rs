//! A report that comes again: from a retry, from a restored disk, from a copy of the queue. What was settled stays settled,
//! and a copy's observations are never taken for the original's.

mod memory;

use apollo_gateway_core::{
    exchange::{Exchange, Outcome},
    policy::Policy,
    store::StoreRequest,
};
use apollo_wire::{Observation, ProcessState, RejectReason};
use memory::{connected_store, device, now, report, running, verdicts};

#[test]
fn r10_a_restored_device_settles_nothing_and_learns_of_it() {
    let mut store = connected_store();
    let _ = store.report("buoy", report(1, vec![running(2, "own"), running(3, "own")]));
    for (offered_through, rolled_back) in [(3, false), (2, true)] {
        let mut sent = report(1, vec![running(4, "own"), running(5, "own")]);
        sent.offered_through = Some(offered_through);
        let rows = store.history().len();
        let concluded = store.clone().report("buoy", sent.clone());
        assert_eq!(
            concluded.effects.rolled_back, rolled_back,
            "R-10 at {offered_through}"
        );
        if rolled_back {
            let concluded = store.report("buoy", sent);
            assert_eq!(verdicts(&concluded).acked, []);
            assert_eq!(
                verdicts(&concluded).highest_sequence,
                3,
                "R-10: what it has forgotten"
            );
            assert_eq!(store.history().len(), rows);
        }
    }
}

/// Found by the model (`conflicts`): the copy of a first flight was taken before the original, which then looked like the
/// report of a restored device. The agent started a new instance and sent everything a second time.
#[test]
fn r04_r10_a_report_that_was_taken_already_is_a_duplicate_and_no_old_copy() {
    let mut store = connected_store();
    let mut sent = report(1, vec![running(2, "own"), running(3, "own")]);
    sent.offered_through = Some(1);
    let first = store.report("buoy", sent.clone());
    assert_eq!(verdicts(&first).accepted, 2);
    let again = store.report("buoy", sent.clone());
    assert!(!again.effects.rolled_back);
    assert_eq!(verdicts(&again).duplicates, 2);
    assert_eq!(verdicts(&again).acked, verdicts(&first).acked);
    // The same sequences with something else in them are an old copy all the same.
    sent.observations[1] = failed(3, "own");
    let copy = store.report("buoy", sent.clone());
    assert!(copy.effects.rolled_back);
    assert_eq!(verdicts(&copy).acked, []);
    // And so is a row that would not even be compared, because it is refused.
    store.edit_process("own", |process| process.device = "other".parse().unwrap());
    assert!(store.report("buoy", sent).effects.rolled_back);
}

/// Found by the simulator, seed 48: a copy of a queue had other observations under settled sequences, and they were refused
/// by now. The answer took them for duplicates, and the copy deleted what nobody has.
#[test]
fn r10_refused_observations_of_a_copy_are_not_taken_for_the_settled_ones() {
    let mut store = connected_store();
    let _ = store.report("buoy", report(1, vec![running(2, "own"), running(3, "own")]));
    store.edit_process("own", |process| process.device = "other".parse().unwrap());
    let mut copy = report(1, vec![running(2, "own"), failed(3, "own")]);
    copy.offered_through = Some(3);
    let concluded = store.report("buoy", copy);
    assert!(concluded.effects.rolled_back);
    assert_eq!(verdicts(&concluded).acked, []);
    assert_eq!(verdicts(&concluded).rejected, []);
}

/// Found by the simulator, seed 1801: an exchange was cut off between history and status, and when the report came again
/// its time was refused. It was settled without ever becoming the status.
#[test]
fn r03_what_was_settled_by_half_becomes_the_status_when_its_time_is_refused_now() {
    let mut store = connected_store();
    let mut sent = report(1, vec![running(2, "own")]);
    let interrupted = store.run_with(
        Exchange::new(device("buoy"), sent.clone(), now(), Policy::default(), 1),
        |store, request| {
            if matches!(request, StoreRequest::ReplaceProcessStatuses { .. }) {
                store.edit_process("own", |_| {});
            }
        },
    );
    assert!(matches!(interrupted.outcome, Outcome::Busy { .. }));
    // The device's clock has been set back since.
    sent.sent_at = now().plus(-3_600_000);
    let concluded = store.report("buoy", sent);
    assert_eq!(verdicts(&concluded).duplicates, 1);
    assert_eq!(store.status("own").sync.unwrap().sequence, 2);
}

/// A first flight that arrives twice, and a process that is bound elsewhere between: still no old copy.
#[test]
fn r10_a_report_taken_already_is_no_old_copy_when_it_would_be_refused_now() {
    let mut store = connected_store();
    let mut sent = report(1, vec![running(2, "own"), running(3, "own")]);
    sent.offered_through = Some(1);
    let _ = store.report("buoy", sent.clone());
    store.edit_process("own", |process| process.device = "other".parse().unwrap());
    let again = store.report("buoy", sent);
    assert!(!again.effects.rolled_back);
    assert_eq!(verdicts(&again).duplicates, 2);
}

fn failed(seq: u64, name: &str) -> Observation {
    Observation {
        state: Some(ProcessState::Failed),
        ..running(seq, name)
    }
}

#[test]
fn r10_other_observations_under_settled_sequences_are_not_taken_for_duplicates() {
    let mut store = connected_store();
    let _ = store.report("buoy", report(1, vec![running(2, "own"), running(3, "own")]));
    let rows = store.history();
    let status = store.status("own").clone();
    // The copy has offered these rows before, without an answer: its count gives nothing away.
    let mut copy = report(1, vec![failed(3, "own"), failed(4, "own")]);
    copy.offered_through = Some(4);
    let concluded = store.report("buoy", copy.clone());
    assert!(concluded.effects.rolled_back);
    assert_eq!(verdicts(&concluded).acked, []);
    assert_eq!(verdicts(&concluded).highest_sequence, 3);
    assert_eq!(
        store.history(),
        rows,
        "nothing of it is kept: it comes again as another instance"
    );
    assert_eq!(store.status("own"), &status);
    // Somebody who never says what was offered has no way to start anew: the first one counts.
    copy.offered_through = None;
    let concluded = store.report("buoy", copy);
    assert_eq!(
        (verdicts(&concluded).accepted, verdicts(&concluded).duplicates),
        (1, 1)
    );
}

#[test]
fn r04_what_a_lost_reply_had_settled_stays_settled_when_it_would_be_refused_now() {
    let mut store = connected_store();
    let sent = report(1, vec![running(2, "own")]);
    let _ = store.report("buoy", sent.clone());
    store.edit_process("own", |process| process.device = "other".parse().unwrap());
    let concluded = store.report("buoy", sent);
    assert_eq!(
        (
            verdicts(&concluded).duplicates,
            &verdicts(&concluded).rejected[..]
        ),
        (1, &[][..])
    );
    let concluded = store.report("buoy", report(1, vec![running(3, "own")]));
    assert_eq!(verdicts(&concluded).rejected[0].reason, RejectReason::NotBound);
}
