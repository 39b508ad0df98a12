//! What an exchange counts for metrics: each write once, as what became of it, also where the store could not say.

mod memory;

use apollo_gateway_core::{
    exchange::{Concluded, Exchange, Outcome, WriteTally},
    machine::{Machine, Step},
    policy::Policy,
    store::{StoreReply, StoreRequest},
};
use memory::{Memory, device, now, report, running};

const OK: WriteTally = WriteTally {
    ok: 1,
    conflict: 0,
    error: 0,
};

/// A report about two processes of one device; the store answers until a request that `is_last`, and is then silent.
fn cut_off_at(store: &mut Memory, after_ms: i64, is_last: fn(&StoreRequest) -> bool) -> Concluded {
    let sent = report(1, vec![running(1, "a"), running(2, "b")]);
    let mut exchange = Exchange::new(device("buoy"), sent, now().plus(after_ms), Policy::default(), 3);
    let mut step = exchange.start();
    loop {
        step = match step {
            Step::Request(request) if is_last(&request) => {
                exchange.on_reply(StoreReply::Unavailable { retry_after: None })
            }
            Step::Request(request) => exchange.on_reply(store.execute(request)),
            Step::Pause(_) => exchange.on_pause_over(),
            Step::Done(concluded) => break concluded,
        };
    }
}

#[test]
fn status_writes_of_unknown_fate_are_counted_each() {
    let mut store = Memory::with(&[("a", "buoy"), ("b", "buoy")]);
    let concluded = cut_off_at(&mut store, 0, |request| {
        matches!(request, StoreRequest::ReplaceProcessStatuses { .. })
    });
    assert!(matches!(concluded.outcome, Outcome::Busy { .. }));
    let unknown = WriteTally {
        ok: 0,
        conflict: 0,
        error: 2,
    };
    assert_eq!(concluded.effects.process_writes, unknown);
    assert_eq!(
        concluded.effects.device_writes, OK,
        "the epoch was claimed before"
    );
}

#[test]
fn a_device_write_of_unknown_fate_is_counted() {
    let mut store = Memory::with(&[("a", "buoy"), ("b", "buoy")]);
    let unknown = WriteTally {
        ok: 0,
        conflict: 0,
        error: 1,
    };
    let claim = cut_off_at(&mut store, 0, |request| {
        matches!(request, StoreRequest::CreateDevice { .. })
    });
    assert_eq!(claim.effects.device_writes, unknown);
    let _ = store.report("buoy", report(1, vec![]));
    let heartbeat = cut_off_at(&mut store, 60_000, |request| {
        matches!(request, StoreRequest::ReplaceDeviceStatus { .. })
    });
    assert_eq!(heartbeat.effects.device_writes, unknown);
}

#[test]
fn reads_of_unknown_fate_are_no_writes() {
    let mut store = Memory::with(&[("a", "buoy"), ("b", "buoy")]);
    let concluded = cut_off_at(&mut store, 0, |request| {
        matches!(request, StoreRequest::ReadProcesses { .. })
    });
    assert_eq!(concluded.effects.process_writes, WriteTally::default());
    assert_eq!(concluded.effects.device_writes, WriteTally::default());
}
