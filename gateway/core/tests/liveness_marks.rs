//! Silent devices: the marks of the windows, who marks them, and that their processes follow.
#![expect(clippy::unwrap_used, reason = "a failing test should stop where it fails")]

mod memory;

use apollo_gateway_core::{
    conditions,
    liveness::Windows,
    object::{DeviceState, DeviceStatus},
    policy::Policy,
    reconcile::Reconcile,
    store::StoreRequest,
    tracker::{Task, Tracker},
};
use apollo_wire::Report;
use memory::{Memory, device, now, object, report, running};

const WINDOW: u64 = 90_000;

fn heard(next_contact_ms: Option<i64>) -> DeviceStatus {
    DeviceStatus {
        state: DeviceState::Connected,
        last_heartbeat_time: Some(now()),
        next_contact_time: next_contact_ms.map(|ms| now().plus(ms)),
        ..DeviceStatus::default()
    }
}

/// A store in which buoy has reported once, announcing its next contact.
fn reported(next_contact_seconds: Option<u32>) -> (Memory, Tracker) {
    let mut store = Memory::with(&[("own", "buoy")]);
    let _ = store.report(
        "buoy",
        Report {
            next_contact_seconds,
            ..report(1, vec![running(1, "own")])
        },
    );
    let mut tracker = Tracker::new(Policy::default());
    tell(&store, &mut tracker, 0);
    (store, tracker)
}

fn tell(store: &Memory, tracker: &mut Tracker, now_ms: u64) {
    for seen in store.twin.objects.devices() {
        tracker.device_seen(seen, now_ms);
    }
    for seen in store.twin.objects.processes() {
        tracker.process_seen(&seen.object, now_ms);
    }
}

/// Works on all that is due and tells the tracker of the result; returns the tasks that mark something.
fn work(store: &mut Memory, tracker: &mut Tracker, now_ms: u64) -> Vec<Task> {
    let tasks = tracker.due(now_ms);
    for task in &tasks {
        let done = store.run(Reconcile::new(task.clone(), now(), &Policy::default(), 1));
        tracker.reconciled(&task.device, &done, now_ms);
    }
    tell(store, tracker, now_ms);
    tasks.into_iter().filter(|task| task.marking.is_some()).collect()
}

fn state(store: &Memory) -> DeviceState {
    store.device("buoy").status.state
}

fn agent_connected(store: &Memory) -> (&str, &str, &str) {
    let condition = conditions::find(&store.status("own").conditions, conditions::AGENT_CONNECTED).unwrap();
    (&condition.status, &condition.reason, &condition.message)
}

#[test]
fn the_windows_change_one_past_their_marks() {
    let windows = Windows::of(WINDOW);
    for (status, silent_ms, expected) in [
        (heard(None), 120_000, DeviceState::Connected),
        (heard(None), 120_001, DeviceState::Lost),
        // A 60 s heartbeat and a 90 s window: both marks meet.
        (heard(Some(60_000)), 120_000, DeviceState::Connected),
        (heard(Some(60_000)), 120_001, DeviceState::Lost),
        (heard(Some(3_600_000)), 120_001, DeviceState::Sleeping),
        (heard(Some(3_600_000)), 3_660_000, DeviceState::Sleeping),
        (heard(Some(3_600_000)), 3_660_001, DeviceState::Lost),
        (heard(Some(-5)), 120_001, DeviceState::Lost),
        (DeviceStatus::default(), 0, DeviceState::Unknown),
    ] {
        assert_eq!(
            windows.state_after(&status, silent_ms),
            expected,
            "{silent_ms} of {status:?}"
        );
    }
}

#[test]
fn a_silent_device_goes_lost_and_its_processes_say_so_once() {
    let (mut store, mut tracker) = reported(Some(60));
    assert!(work(&mut store, &mut tracker, 120_000).is_empty());
    assert_eq!(tracker.next_deadline_ms(), Some(120_001));
    assert_eq!(work(&mut store, &mut tracker, 120_001).len(), 1);
    assert_eq!(state(&store), DeviceState::Lost);
    assert_eq!(
        agent_connected(&store),
        ("False", "AgentLost", "no report within the expected window")
    );
    let writes = (store.process_writes, store.device_writes);
    for later_ms in [125_000, 500_000, 5_000_000] {
        work(&mut store, &mut tracker, later_ms);
    }
    assert_eq!(
        (store.process_writes, store.device_writes),
        writes,
        "R-06: Lost is said once"
    );
}

#[test]
fn an_empty_report_brings_a_lost_device_and_its_processes_back() {
    let (mut store, mut tracker) = reported(Some(60));
    work(&mut store, &mut tracker, 120_001);
    let _ = store.report_at("buoy", report(1, vec![]), 200_000);
    assert_eq!(state(&store), DeviceState::Connected);
    assert_eq!(
        agent_connected(&store),
        ("True", "AgentConnected", "agent connected")
    );
}

#[test]
fn a_sleeping_device_is_still_connected_to_its_processes() {
    let (mut store, mut tracker) = reported(Some(3600));
    assert_eq!(work(&mut store, &mut tracker, 120_001).len(), 1);
    assert_eq!(state(&store), DeviceState::Sleeping);
    assert_eq!(agent_connected(&store).0, "True");
    assert_eq!(
        tracker.next_deadline_ms().unwrap().min(3_660_001),
        122_001,
        "a repair is looked for"
    );
    work(&mut store, &mut tracker, 122_001);
    assert_eq!(tracker.next_deadline_ms(), Some(3_660_001));
    work(&mut store, &mut tracker, 3_660_001);
    assert_eq!(state(&store), DeviceState::Lost);
}

#[test]
fn a_heartbeat_seen_in_time_starts_the_window_again_on_the_own_clock() {
    let (mut store, mut tracker) = reported(Some(60));
    // The other replica's wall clock is an hour behind: only that the value changed counts.
    let _ = store.report_at("buoy", report(1, vec![]), -3_600_000);
    tell(&store, &mut tracker, 100_000);
    assert!(work(&mut store, &mut tracker, 220_000).is_empty());
    assert_eq!(work(&mut store, &mut tracker, 220_001).len(), 1);
}

#[test]
fn two_replicas_mark_at_once_and_one_wins() {
    let (mut store, mut one) = reported(None);
    let mut two = Tracker::new(Policy::default());
    tell(&store, &mut two, 0);
    let (first, second) = (one.due(120_001), two.due(120_001));
    let mark = |store: &mut Memory, task: &Task| {
        store.run(Reconcile::new(task.clone(), now(), &Policy::default(), 1))
    };
    let won = mark(&mut store, &first[0]);
    let lost = mark(&mut store, &second[0]);
    assert_eq!(
        (
            won.device_writes.ok,
            lost.device_writes.ok,
            lost.device_writes.conflict
        ),
        (1, 0, 1)
    );
}

/// Found by the simulator, seed 28: while the watch lagged, whoever had lost tried again as fast as the store answered.
#[test]
fn r12_who_lost_the_race_waits_for_news_and_does_not_try_again_at_once() {
    let (mut store, mut tracker) = reported(None);
    let tasks = tracker.due(120_001);
    // Another replica was first; the watch has not told of it yet.
    store.edit_device("buoy", |object| object.status.state = DeviceState::Lost);
    let done = store.run(Reconcile::new(tasks[0].clone(), now(), &Policy::default(), 1));
    tracker.reconciled(&tasks[0].device, &done, 120_010);
    let again_ms = 120_010 + Policy::default().repair_after_ms;
    assert!(tracker.due(again_ms - 1).is_empty());
    assert_eq!(tracker.due(again_ms).len(), 1);
}

#[test]
fn a_report_between_decision_and_marking_wins() {
    let (mut store, mut tracker) = reported(None);
    let tasks = tracker.due(120_001);
    let _ = store.report_at("buoy", report(1, vec![]), 120_000);
    let done = store.run(Reconcile::new(tasks[0].clone(), now(), &Policy::default(), 1));
    assert_eq!(done.device_writes.conflict, 1);
    assert_eq!(state(&store), DeviceState::Connected);
    assert_eq!(agent_connected(&store).0, "True");
}

#[test]
fn a_report_right_after_the_marking_leaves_its_processes_connected() {
    let (mut store, mut tracker) = reported(Some(60));
    let tasks = tracker.due(120_001);
    let writes = store.process_writes;
    let reconcile = Reconcile::new(tasks[0].clone(), now(), &Policy::default(), 1);
    let mut came_back = false;
    let done = store.run_with(reconcile, |store, request| {
        let is_marking = matches!(request, StoreRequest::ReplaceDeviceStatus { .. });
        if !is_marking && !std::mem::replace(&mut came_back, true) {
            let _ = store.report_at("buoy", report(1, vec![]), 121_000);
        }
    });
    assert_eq!((done.device_writes.ok, came_back), (1, true));
    assert_eq!(state(&store), DeviceState::Connected);
    assert_eq!(
        (agent_connected(&store).0, store.process_writes),
        ("True", writes),
        "never False in between"
    );
}

#[test]
fn a_crash_between_device_and_processes_is_repaired() {
    let (mut store, _) = reported(None);
    // Marked Lost, and then the replica died.
    store.edit_device("buoy", |object| object.status.state = DeviceState::Lost);
    let mut successor = Tracker::new(Policy::default());
    tell(&store, &mut successor, 0);
    assert_eq!(agent_connected(&store).0, "True");
    work(&mut store, &mut successor, 2_000);
    assert_eq!(agent_connected(&store).1, "AgentLost");
}

#[test]
fn a_new_process_of_a_connected_device_is_connected() {
    let (mut store, mut tracker) = reported(None);
    work(&mut store, &mut tracker, 2_000);
    store.put(object("second", "buoy"));
    tell(&store, &mut tracker, 3_000);
    work(&mut store, &mut tracker, 5_000);
    assert_eq!(
        conditions::find(&store.status("second").conditions, "AgentConnected")
            .unwrap()
            .status,
        "True"
    );
}

#[test]
fn a_device_that_never_reported_leaves_its_processes_alone() {
    let mut store = Memory::with(&[("own", "buoy")]);
    store.execute(StoreRequest::CreateDevice {
        device: device("buoy"),
        status: Box::default(),
    });
    let mut tracker = Tracker::new(Policy::default());
    tell(&store, &mut tracker, 0);
    for now_ms in [2_000, 1_000_000] {
        work(&mut store, &mut tracker, now_ms);
    }
    assert_eq!((store.process_writes, state(&store)), (0, DeviceState::Unknown));
}

#[test]
fn a_process_bound_to_a_silent_device_is_not_left_connected() {
    let (mut store, mut tracker) = reported(None);
    store.edit_process("own", |object| object.device = device("truck"));
    tell(&store, &mut tracker, 1_000);
    work(&mut store, &mut tracker, 3_000);
    assert_eq!(agent_connected(&store).1, "AgentLost");
}

#[test]
fn blocking_and_unblocking_is_followed_and_only_a_report_reconnects() {
    let (mut store, mut tracker) = reported(None);
    store.edit_device("buoy", |object| object.blocked = true);
    tell(&store, &mut tracker, 1_000);
    work(&mut store, &mut tracker, 1_000);
    assert_eq!(state(&store), DeviceState::Blocked);
    assert_eq!(
        agent_connected(&store),
        ("False", "AgentBlocked", "device is blocked")
    );
    store.edit_device("buoy", |object| object.blocked = false);
    tell(&store, &mut tracker, 2_000);
    work(&mut store, &mut tracker, 2_000);
    assert_eq!(state(&store), DeviceState::Lost);
    let _ = store.report_at("buoy", report(1, vec![]), 3_000);
    assert_eq!(state(&store), DeviceState::Connected);
    assert_eq!(agent_connected(&store).0, "True");
}

#[test]
fn a_replica_that_has_just_started_does_not_take_a_lost_device_for_connected() {
    let (mut store, _) = reported(None);
    store.edit_device("buoy", |object| object.status.state = DeviceState::Lost);
    let mut fresh = Tracker::new(Policy::default());
    tell(&store, &mut fresh, 0);
    assert!(work(&mut store, &mut fresh, 0).is_empty());
    assert_eq!(state(&store), DeviceState::Lost);
}

#[test]
fn the_devices_own_window_overrides() {
    let (mut store, mut tracker) = reported(None);
    store.edit_device("buoy", |object| object.stale_after_ms = Some(9_000));
    tell(&store, &mut tracker, 0);
    assert!(work(&mut store, &mut tracker, 12_000).is_empty());
    assert_eq!(work(&mut store, &mut tracker, 12_001).len(), 1);
}

#[test]
fn r12_a_fleet_that_falls_silent_at_once_is_worked_off_in_pieces() {
    let mut store = Memory::default();
    for number in 0..5 {
        let _ = store.report(&format!("buoy-{number}"), report(1, vec![]));
    }
    let mut tracker = Tracker::new(Policy {
        repairs_at_once: 2,
        ..Policy::default()
    });
    tell(&store, &mut tracker, 0);
    let pieces: Vec<usize> = (0..4).map(|_| tracker.due(120_001).len()).collect();
    assert_eq!(pieces, [2, 2, 1, 0]);
}
