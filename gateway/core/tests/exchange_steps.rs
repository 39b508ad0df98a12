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
use apollo_wire::Report;
use memory::{Fault, Memory, connected_store, device, now, process, report, running, verdicts};

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
