//! What brings a device back to be looked at: what a repair left undone, and its Device that is gone.

mod memory;

use apollo_gateway_core::{
    exchange::WriteTally,
    object::DeviceState,
    policy::Policy,
    reconcile::Reconciled,
    tracker::{Task, Tracker},
};
use memory::{Memory, device, report};

/// A tracker that knows of one device, connected, with nothing to repair; and when it looks at its processes again.
fn known() -> (Tracker, u64) {
    let mut store = Memory::default();
    let _ = store.report("buoy", report(1, vec![]));
    let policy = Policy::default();
    let repair_after_ms = policy.repair_after_ms;
    let mut tracker = Tracker::new(policy);
    for seen in store.twin.objects.devices() {
        tracker.device_seen(seen, 0);
    }
    tracker.due(repair_after_ms);
    (tracker, repair_after_ms)
}

fn look() -> Task {
    Task {
        device: device("buoy"),
        marking: None,
    }
}

#[test]
fn a_repair_left_incomplete_comes_back_once_after_a_while() {
    let (mut tracker, repair_after_ms) = known();
    let undone = Reconciled {
        process_writes: WriteTally {
            conflict: 1,
            ..WriteTally::default()
        },
        ..Reconciled::default()
    };
    let now_ms = repair_after_ms;
    tracker.reconciled(&device("buoy"), &undone, now_ms);
    assert_eq!(tracker.due(now_ms + repair_after_ms - 1), []);
    assert_eq!(tracker.due(now_ms + repair_after_ms), [look()]);
    let done = Reconciled {
        complete: true,
        ..undone
    };
    tracker.reconciled(&device("buoy"), &done, now_ms + repair_after_ms);
    assert_eq!(tracker.due(now_ms + 3 * repair_after_ms), []);
}

#[test]
fn the_processes_of_a_device_that_is_gone_are_looked_at_once_more_and_it_is_forgotten() {
    let (mut tracker, repair_after_ms) = known();
    assert_eq!(tracker.state_of(&device("buoy")), DeviceState::Connected);
    tracker.device_gone(&device("buoy"), repair_after_ms);
    assert_eq!(tracker.state_of(&device("buoy")), DeviceState::Unknown);
    assert_eq!(tracker.due(2 * repair_after_ms), [look()]);
    assert_eq!(tracker.next_deadline_ms(), None, "nothing is left of it");
}
