//! A later life of a device outranks an earlier one, whatever was deleted or forgotten meanwhile.

mod memory;

use apollo_gateway_core::{
    epoch, exchange::Exchange, object::DeviceStatus, policy::Policy, store::StoreRequest,
};
use memory::{Memory, device, instance, now, report, running, verdicts};

#[test]
fn instances_get_epochs_in_the_order_of_first_contact() {
    let mut store = Memory::with(&[("own", "buoy")]);
    for (life, expected) in [(1, 1), (2, 2), (1, 1), (3, 3), (2, 2)] {
        let concluded = store.report("buoy", report(life, vec![]));
        assert_eq!(verdicts(&concluded).epoch, expected);
    }
}

#[test]
fn a_new_life_outranks_whatever_sequence_the_old_one_had() {
    let mut store = Memory::with(&[("own", "buoy")]);
    let _ = store.report("buoy", report(1, vec![running(1000, "own")]));
    let _ = store.report("buoy", report(2, vec![running(1, "own")]));
    let _ = store.report("buoy", report(1, vec![running(1001, "own")]));
    let sync = store.status("own").sync.unwrap();
    assert_eq!((sync.epoch, sync.sequence), (2, 1));
}

#[test]
fn r12_the_list_keeps_its_bound_and_the_epochs() {
    let mut status = DeviceStatus::default();
    for life in 1..=4 {
        assert_eq!(epoch::claim(&mut status, instance(life), 0, 3), u32::from(life));
    }
    let kept: Vec<u32> = status.instances.iter().map(|entry| entry.epoch).collect();
    assert_eq!(kept, [2, 3, 4]);
    assert!(epoch::has_forgotten(&status));
}

#[test]
fn a_forgotten_life_goes_on_into_history_but_never_into_a_status() {
    let mut store = Memory::with(&[("own", "buoy")]);
    let policy = Policy {
        instances_kept: 2,
        ..Policy::default()
    };
    let mut send = |life: u8, seq: u64| {
        let sent = report(life, vec![running(seq, "own")]);
        let concluded = store.run(Exchange::new(device("buoy"), sent, now(), policy, 1));
        (
            verdicts(&concluded).epoch,
            verdicts(&concluded).accepted,
            store.status("own").sync.unwrap(),
        )
    };
    for life in 1..=3 {
        assert_eq!(send(life, 5).0, u32::from(life));
    }
    let (epoch, accepted, sync) = send(1, 6);
    assert_eq!((epoch, accepted), (epoch::FORGOTTEN, 1));
    assert_eq!((sync.epoch, sync.sequence), (3, 5), "the old clone moves nothing");
    assert_eq!(send(4, 1).0, 4, "a new life is still a new life");
}

#[test]
fn a_deleted_device_starts_above_what_its_processes_still_carry() {
    let mut store = Memory::with(&[("own", "buoy")]);
    let _ = store.report("buoy", report(1, vec![]));
    let _ = store.report("buoy", report(2, vec![running(500, "own")]));
    store.twin.objects.delete_device(&device("buoy"));
    let concluded = store.report("buoy", report(3, vec![running(1, "own")]));
    assert_eq!(verdicts(&concluded).epoch, 3);
    assert_eq!(store.status("own").sync.unwrap().sequence, 1);
}

#[test]
fn an_old_clone_that_races_the_present_life_for_a_deleted_device_stays_below_it() {
    let mut store = Memory::with(&[("own", "buoy")]);
    let _ = store.report("buoy", report(1, vec![running(500, "own")]));
    let _ = store.report("buoy", report(2, vec![running(5, "own")]));
    store.twin.objects.delete_device(&device("buoy"));
    let sent = report(1, vec![running(501, "own")]);
    let clone = Exchange::new(device("buoy"), sent, now(), Policy::default(), 1);
    let mut raced = false;
    // The clone has found no Device. Before it makes one, the present life has.
    let concluded = store.run_with(clone, |store, request| {
        if matches!(request, StoreRequest::CreateDevice { .. }) && !std::mem::replace(&mut raced, true) {
            let _ = store.report("buoy", report(2, vec![running(6, "own")]));
        }
    });
    assert!(raced);
    assert_eq!(verdicts(&concluded).epoch, epoch::FORGOTTEN);
    let sync = store.status("own").sync.unwrap();
    assert_eq!((sync.epoch, sync.sequence), (3, 6));
}

#[test]
fn a_process_bound_anew_is_not_guarded_by_the_former_devices_position() {
    let mut store = Memory::with(&[("own", "buoy")]);
    let _ = store.report("buoy", report(1, vec![running(500, "own")]));
    store.edit_process("own", |object| object.device = device("truck"));
    let _ = store.report("truck", report(7, vec![running(1, "own")]));
    let status = store.status("own");
    assert_eq!(status.observed_device, Some(device("truck")));
    assert_eq!(status.sync.unwrap().sequence, 1);
}
