//! What an exchange makes of history's answers, whatever the Device's own record says.

mod memory;

use apollo_gateway_core::{
    exchange::{Concluded, Exchange},
    machine::{Machine, Step},
    policy::Policy,
    store::{StoreReply, StoreRequest},
};
use apollo_wire::{Report, SequenceRange};
use memory::{Memory, device, now, report, running, verdicts};

/// One report to a store whose history answers with this.
fn answered(store: &mut Memory, sent: Report, history: &StoreReply) -> Concluded {
    let mut exchange = Exchange::new(device("buoy"), sent, now(), Policy::default(), 3);
    let mut step = exchange.start();
    loop {
        step = match step {
            Step::Request(StoreRequest::AppendHistory { .. }) => exchange.on_reply(history.clone()),
            Step::Request(request) => exchange.on_reply(store.execute(request)),
            Step::Pause(_) => exchange.on_pause_over(),
            Step::Done(concluded) => break concluded,
        };
    }
}

#[test]
fn r10_a_copy_learns_how_far_history_has_got_although_the_device_does_not_say_it_yet() {
    let mut store = Memory::with(&[("own", "buoy")]);
    let sent = report(1, vec![running(5, "own")]);
    let concluded = answered(&mut store, sent, &StoreReply::HistoryDiverged { highest: 41 });
    assert!(concluded.effects.rolled_back);
    let verdicts = verdicts(&concluded);
    assert_eq!(
        (verdicts.highest_sequence, verdicts.acked.as_slice()),
        (41, [].as_slice())
    );
}

#[test]
fn r04_an_observation_twice_in_one_report_is_one_and_a_duplicate() {
    let mut store = Memory::with(&[("own", "buoy")]);
    let sent = report(1, vec![running(5, "own"), running(5, "own")]);
    let concluded = store.report("buoy", sent);
    let verdicts = verdicts(&concluded);
    assert_eq!((verdicts.accepted, verdicts.duplicates), (1, 1));
    assert_eq!(verdicts.acked, [SequenceRange { first: 5, last: 5 }]);
}

#[test]
fn a_report_without_observations_is_told_how_far_the_device_says_its_instance_has_got() {
    let mut store = Memory::with(&[("own", "buoy")]);
    store.report("buoy", report(1, vec![running(5, "own")]));
    store.edit_device("buoy", |object| object.status.instances[0].highest_sequence = 5);
    let concluded = store.report("buoy", report(1, vec![]));
    assert_eq!(verdicts(&concluded).highest_sequence, 5);
}

#[test]
fn history_is_asked_how_far_it_has_got_only_where_a_rollback_could_show() {
    for (of, offered_through, rows, asked) in [
        (1, Some(6), vec![running(6, "own")], true),
        (1, Some(6), vec![], false),
        (1, None, vec![running(6, "own")], false),
        (2, None, vec![running(6, "own")], false),
    ] {
        let mut store = Memory::with(&[("own", "buoy")]);
        store.report("buoy", report(1, vec![running(5, "own")]));
        store.requests.clear();
        let sent = Report {
            offered_through,
            ..report(of, rows)
        };
        store.report("buoy", sent);
        assert_eq!(
            store.requests.contains(&"ReadHighest"),
            asked,
            "{offered_through:?}"
        );
    }
}
