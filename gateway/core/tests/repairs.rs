//! Repairing the processes of a device: complete only when every write is known to be done, and each write
//! counted as what became of it.

mod memory;

use apollo_gateway_core::{
    conditions,
    exchange::WriteTally,
    machine::{Machine, Step},
    object::DeviceState,
    policy::Policy,
    reconcile::{Reconcile, Reconciled},
    store::{Freshness, StoreReply, StoreRequest},
    tracker::{Marking, Task},
};
use memory::{Memory, device, now, object, report};

const UNKNOWN_FATE: StoreReply = StoreReply::Unavailable { retry_after: None };

/// A connected device with two processes that do not say so yet.
fn untold() -> Memory {
    let mut store = Memory::default();
    let _ = store.report("buoy", report(1, vec![]));
    store.put(object("a", "buoy"));
    store.put(object("b", "buoy"));
    store
}

fn repair(marking: Option<Marking>) -> Reconcile {
    let device = device("buoy");
    Reconcile::new(Task { device, marking }, now(), &Policy::default(), 1)
}

fn tells(store: &Memory, name: &str) -> bool {
    conditions::find(&store.status(name).conditions, conditions::AGENT_CONNECTED).is_some()
}

/// Drives a repair; `answer` may answer a request of its own accord.
fn driven(
    store: &mut Memory,
    mut repair: Reconcile,
    mut answer: impl FnMut(&StoreRequest) -> Option<StoreReply>,
) -> Reconciled {
    let mut step = repair.start();
    loop {
        step = match step {
            Step::Request(request) => {
                let reply = answer(&request).unwrap_or_else(|| store.execute(request));
                repair.on_reply(reply)
            }
            Step::Pause(_) => repair.on_pause_over(),
            Step::Done(done) => break done,
        };
    }
}

#[test]
fn r05_after_a_conflict_the_rest_is_repaired_from_the_store_itself() {
    let mut store = untold();
    store.freeze_cache();
    let mut raced = false;
    let done = store.run_with(repair(None), |store, request| match request {
        StoreRequest::ReplaceProcessStatuses { .. } if !raced => {
            raced = true;
            store.edit_process("b", |object| object.generation += 1);
        }
        StoreRequest::ReadDevice { freshness, .. } => {
            assert_eq!(*freshness == Freshness::Authoritative, raced);
        }
        _ => {}
    });
    assert!(done.complete && tells(&store, "a") && tells(&store, "b"));
    let expected = WriteTally {
        ok: 2,
        conflict: 1,
        error: 0,
    };
    assert_eq!(done.process_writes, expected);
}

#[test]
fn r12_a_repair_that_always_loses_ends_incomplete() {
    let mut store = untold();
    let done = store.run_with(repair(None), |store, request| {
        if matches!(request, StoreRequest::ReplaceProcessStatuses { .. }) {
            store.edit_process("b", |object| object.generation += 1);
        }
    });
    assert!(!done.complete);
    assert_eq!(done.process_writes.conflict, Policy::default().cas_attempts);
}

#[test]
fn an_answer_that_is_silent_about_a_write_completes_nothing() {
    let mut store = untold();
    let done = driven(&mut store, repair(None), |request| {
        let is_write = matches!(request, StoreRequest::ReplaceProcessStatuses { .. });
        is_write.then(|| StoreReply::StatusesWritten(vec![]))
    });
    assert!(!done.complete);
}

#[test]
fn writes_of_unknown_fate_are_counted_and_complete_nothing() {
    let mut store = untold();
    let done = driven(&mut store, repair(None), |request| {
        let is_write = matches!(request, StoreRequest::ReplaceProcessStatuses { .. });
        is_write.then_some(UNKNOWN_FATE)
    });
    assert!(!done.complete);
    assert_eq!((done.process_writes.error, done.device_writes.error), (2, 0));

    let found = store.twin.objects.device(&device("buoy"));
    let marking = found.map(|found| {
        let mut status = found.object.status.clone();
        status.state = DeviceState::Lost;
        Marking {
            expected: found.version.clone(),
            status,
        }
    });
    let done = driven(&mut store, repair(marking), |request| {
        let is_write = matches!(request, StoreRequest::ReplaceDeviceStatus { .. });
        is_write.then_some(UNKNOWN_FATE)
    });
    assert!(!done.complete);
    assert_eq!((done.process_writes.error, done.device_writes.error), (0, 1));
    let done = driven(&mut store, repair(None), |request| {
        let is_read = matches!(request, StoreRequest::ReadProcesses { .. });
        is_read.then_some(UNKNOWN_FATE)
    });
    assert_eq!(done, Reconciled::default());
}
