//! The order of an exchange, what it costs, and how it ends when the store or the device is not as it should
//! be.

mod memory;

use std::time::Duration;

use apollo_gateway_core::{
    exchange::{Exchange, Outcome, Refusal},
    machine::{Machine, Step},
    object::DeviceState,
    policy::{Policy, Registration},
    store::{StoreReply, StoreRequest, WriteOutcome},
};
use apollo_wire::{Observation, ProcessState, RejectReason, Report};
use memory::{Fault, Memory, device, now, process, report, running, verdicts};

fn connected_store() -> Memory {
    let mut store = Memory::with(&[("own", "buoy")]);
    let _ = store.report("buoy", report(1, vec![running(1, "own")]));
    store.requests.clear();
    store
}

fn exchange(policy: Policy) -> Exchange {
    Exchange::new(
        device("buoy"),
        report(1, vec![running(2, "own")]),
        now(),
        policy,
        3,
    )
}

#[test]
fn a_first_report_registers_claims_commits_and_only_then_answers() {
    let mut store = Memory::with(&[("own", "buoy")]);
    let concluded = store.report("buoy", report(1, vec![running(1, "own")]));
    assert_eq!(
        store.requests,
        [
            "ReadDevice",
            "ReadProcesses",
            "CreateDevice",
            "AppendHistory",
            "ReplaceProcessStatuses"
        ]
    );
    assert!(concluded.effects.registered);
    assert_eq!(concluded.effects.new_epoch, Some(1));
    assert_eq!(
        (verdicts(&concluded).epoch, verdicts(&concluded).highest_sequence),
        (1, 1)
    );
    assert_eq!(store.device("buoy").status.state, DeviceState::Connected);
}

#[test]
fn r06_an_empty_report_of_a_healthy_device_is_two_reads() {
    let mut store = connected_store();
    let concluded = store.report("buoy", report(1, vec![]));
    assert_eq!(store.requests, ["ReadDevice", "ReadProcesses"]);
    assert!(matches!(
        concluded.outcome,
        Outcome::Settled { forbidden: false, .. }
    ));
}

#[test]
fn a_blocked_device_is_refused_and_nothing_is_written() {
    let mut store = connected_store();
    store.edit_device("buoy", |object| object.blocked = true);
    let writes = (store.process_writes, store.device_writes);
    let concluded = store.report_at("buoy", report(1, vec![running(2, "own")]), 60_000);
    assert_eq!(concluded.outcome, Outcome::Refused(Refusal::Blocked));
    assert_eq!(
        (store.process_writes, store.device_writes, store.history().len()),
        (writes.0, writes.1, 1)
    );
}

#[test]
fn manual_registration_refuses_only_what_the_store_itself_does_not_know() {
    let policy = Policy {
        registration: Registration::Manual,
        ..Policy::default()
    };
    let mut store = Memory::with(&[("own", "buoy")]);
    let concluded = store.run(exchange(policy));
    assert_eq!(concluded.outcome, Outcome::Refused(Refusal::UnknownDevice));
    assert_eq!((store.device_writes, store.history().len()), (0, 0));
    store.freeze_cache();
    store.execute(StoreRequest::CreateDevice {
        device: device("buoy"),
        status: Box::default(),
    });
    let concluded = store.run(exchange(policy));
    assert_eq!(verdicts(&concluded).accepted, 1);
}

#[test]
fn r03_r12_a_conflict_storm_ends_in_503_after_the_bound_and_settles_nothing() {
    for cas_attempts in [1, 4] {
        let mut store = connected_store();
        let concluded = store.run_with(
            exchange(Policy {
                cas_attempts,
                ..Policy::default()
            }),
            |store, request| {
                if matches!(request, StoreRequest::ReplaceProcessStatuses { .. }) {
                    store.edit_process("own", |_| {});
                }
            },
        );
        assert!(matches!(concluded.outcome, Outcome::Busy { .. }));
        assert_eq!(concluded.effects.process_writes.conflict, cas_attempts, "R-12");
        assert_eq!(store.status("own").sync.unwrap().sequence, 1);
    }
}

#[test]
fn r05_after_a_conflict_the_store_itself_is_read_not_the_cache() {
    let mut store = connected_store();
    store.freeze_cache();
    store.edit_process("own", |object| object.status.message = "somebody else's".into());
    let concluded = store.run(exchange(Policy::default()));
    assert_eq!(concluded.effects.process_writes.conflict, 1);
    assert_eq!(concluded.effects.process_writes.ok, 1);
    assert_eq!(store.status("own").sync.unwrap().sequence, 2);
}

#[test]
fn r03_an_unavailable_store_means_503_with_its_own_time_at_every_step() {
    let steps = [
        "ReadDevice",
        "ReadProcesses",
        "CreateDevice",
        "AppendHistory",
        "ReplaceProcessStatuses",
    ];
    for (failing, name) in steps.into_iter().enumerate() {
        for fault in [Fault::Unavailable, Fault::LostReply] {
            let mut store = Memory::with(&[("own", "buoy")]);
            let mut exchange = exchange(Policy::default());
            let mut step = exchange.start();
            for number in 0.. {
                let Step::Request(request) = step else { break };
                let reply = store.execute_with(request, if number == failing { fault } else { Fault::None });
                let reply = match reply {
                    StoreReply::Unavailable { .. } => StoreReply::Unavailable {
                        retry_after: Some(Duration::from_secs(9)),
                    },
                    reply => reply,
                };
                step = exchange.on_reply(reply);
            }
            let Step::Done(concluded) = step else {
                panic!("{step:?}")
            };
            assert_eq!(
                concluded.outcome,
                Outcome::Busy {
                    retry_after: Duration::from_secs(9)
                },
                "R-03 {name}"
            );
            // The device sends again, and everything ends as if nothing had happened.
            let concluded = store.report("buoy", report(1, vec![running(2, "own")]));
            assert_eq!(verdicts(&concluded).epoch, 1);
            assert_eq!(
                (store.history().len(), store.status("own").sync.unwrap().sequence),
                (1, 2)
            );
        }
    }
}

#[test]
fn r03_a_heartbeat_that_cannot_be_written_withholds_the_verdicts() {
    let mut store = connected_store();
    let policy = Policy {
        cas_attempts: 3,
        ..Policy::default()
    };
    let sent = report(1, vec![running(2, "own")]);
    let exchange = Exchange::new(device("buoy"), sent, now().plus(60_000), policy, 3);
    let concluded = store.run_with(exchange, |store, request| {
        if matches!(request, StoreRequest::ReplaceDeviceStatus { .. }) {
            store.edit_device("buoy", |_| {});
        }
    });
    assert!(matches!(concluded.outcome, Outcome::Busy { .. }));
    assert_eq!(concluded.effects.device_writes.conflict, 3);
}

#[test]
fn r07_bound_away_while_in_work_the_status_is_left_alone() {
    let mut store = connected_store();
    let concluded = store.run_with(exchange(Policy::default()), |store, request| {
        if matches!(request, StoreRequest::ReplaceProcessStatuses { .. }) {
            store.edit_process("own", |object| object.device = device("truck"));
        }
    });
    assert_eq!(
        verdicts(&concluded).accepted,
        1,
        "history had it while the binding held"
    );
    assert_eq!(
        store.status("own").sync.unwrap().sequence,
        1,
        "R-07: no status of another device's process"
    );
}

#[test]
fn deleted_while_in_work_history_is_kept() {
    let mut store = connected_store();
    let concluded = store.run_with(exchange(Policy::default()), |store, request| {
        if matches!(request, StoreRequest::ReplaceProcessStatuses { .. }) {
            store.twin.objects.delete_process(&process("own"));
        }
    });
    assert_eq!(verdicts(&concluded).accepted, 1);
    assert_eq!(store.history().len(), 2);
}

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

#[test]
fn the_highest_sequence_never_leads_what_is_settled() {
    let mut store = connected_store();
    let interrupted = store.run_with(
        exchange(Policy {
            cas_attempts: 1,
            ..Policy::default()
        }),
        |store, request| {
            if matches!(request, StoreRequest::ReplaceProcessStatuses { .. }) {
                store.edit_process("own", |_| {});
            }
        },
    );
    assert!(matches!(interrupted.outcome, Outcome::Busy { .. }));
    assert_eq!(
        store.history().len(),
        2,
        "sequence 2 is in history, but not settled"
    );
    let concluded = store.report("buoy", report(1, vec![]));
    assert!(verdicts(&concluded).highest_sequence <= 1);
    let asks_history = Report {
        offered_through: Some(2),
        ..report(1, vec![running(1, "own")])
    };
    assert_eq!(verdicts(&store.report("buoy", asks_history)).highest_sequence, 1);
    let concluded = store.report_at("buoy", report(1, vec![running(2, "own")]), 60_000);
    assert_eq!(verdicts(&concluded).highest_sequence, 2);
    assert_eq!(
        store.device("buoy").status.instances[0].highest_sequence,
        2,
        "rides along with the heartbeat"
    );
}

#[test]
fn an_answer_of_the_wrong_kind_settles_nothing() {
    let mut exchange = exchange(Policy::default());
    let _ = exchange.start();
    let step = exchange.on_reply(StoreReply::Written(WriteOutcome::Conflict));
    assert!(matches!(step, Step::Done(concluded) if matches!(concluded.outcome, Outcome::Busy { .. })));
}
