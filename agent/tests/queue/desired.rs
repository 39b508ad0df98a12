//! Q-10, and what else the file keeps across a reboot: the desired state, syncing's state, the children.

use apollo_agent::queue::SupervisedProcess;
use apollo_wire::DesiredState;

use crate::support::{NOW, Scratch};

fn document(generation: i64) -> DesiredState {
    let json = format!(
        r#"{{"device":"buoy-17","processes":[
            {{"namespace":"default","name":"collector","generation":{generation},"specHash":"9f86d081884c7d65",
              "spec":{{"command":["/bin/true"],"later":1.50}}}},
            {{"namespace":"ops","name":"gnss","generation":1,"specHash":"0c5c7fd0a6a3a450","spec":{{}}}}]}}"#
    );
    serde_json::from_str(&json).unwrap()
}

#[test]
fn etag_and_document_are_stored_together_and_replaced_together() {
    let mut scratch = Scratch::new();
    assert_eq!(scratch.queue.desired().unwrap(), None);
    scratch
        .queue
        .store_desired("\"one\"", &document(1), NOW.now)
        .unwrap();
    scratch.reopen();
    let stored = scratch.queue.desired().unwrap().unwrap();
    assert_eq!(
        (stored.etag.as_str(), &stored.document, stored.fetched_at),
        ("\"one\"", &document(1), NOW.now)
    );

    let empty: DesiredState = serde_json::from_str(r#"{"device":"buoy-17","processes":[]}"#).unwrap();
    scratch.queue.store_desired("\"two\"", &empty, NOW.now).unwrap();
    let stored = scratch.queue.desired().unwrap().unwrap();
    assert_eq!((stored.etag.as_str(), stored.document), ("\"two\"", empty));
}

#[test]
fn a_store_that_fails_keeps_the_last_document_and_its_etag() {
    let mut scratch = Scratch::new();
    scratch
        .queue
        .store_desired("\"one\"", &document(1), NOW.now)
        .unwrap();
    scratch
        .sqlite()
        .execute_batch(
            "CREATE TRIGGER fails BEFORE INSERT ON desired_process WHEN new.name = 'gnss'
             BEGIN SELECT raise(ABORT, 'no room'); END",
        )
        .unwrap();
    assert!(
        scratch
            .queue
            .store_desired("\"two\"", &document(2), NOW.now)
            .is_err()
    );
    let stored = scratch.queue.desired().unwrap().unwrap();
    assert_eq!((stored.etag.as_str(), stored.document), ("\"one\"", document(1)));
}

#[test]
fn a_success_ends_an_error_and_a_failure_keeps_the_last_success() {
    let mut scratch = Scratch::new();
    let at = NOW.now;
    scratch
        .queue
        .record_failure(at, &"é".repeat(400), Some(at.plus(1)))
        .unwrap();
    let status = scratch.queue.sync_status(at).unwrap();
    assert_eq!(status.last_error.map(|text| text.len()), Some(512));
    assert_eq!(
        (status.last_success, status.next_attempt),
        (None, Some(at.plus(1)))
    );
    scratch.queue.record_success(at, Some(at.plus(2))).unwrap();
    scratch.queue.record_failure(at.plus(3), "dark", None).unwrap();
    let status = scratch.queue.sync_status(at).unwrap();
    assert_eq!(
        (status.last_success, status.last_error.as_deref()),
        (Some(at), Some("dark"))
    );
    assert_eq!(
        (status.last_error_at, status.next_attempt),
        (Some(at.plus(3)), None)
    );
    scratch.queue.record_success(at, None).unwrap();
    assert_eq!(scratch.queue.sync_status(at).unwrap().last_error, None);
}

#[test]
fn the_traffic_of_a_day_ends_with_the_day() {
    let mut scratch = Scratch::new();
    let evening = "2026-11-23T23:59:59.999Z".parse().unwrap();
    let midnight = "2026-11-24T00:00:00.000Z".parse().unwrap();
    scratch.queue.add_traffic(evening, 10, 20).unwrap();
    scratch.queue.add_traffic(evening, 1, 2).unwrap();
    let traffic = |scratch: &Scratch, now| {
        let status = scratch.queue.sync_status(now).unwrap();
        (status.bytes_sent_today, status.bytes_received_today)
    };
    assert_eq!(traffic(&scratch, evening), (11, 22));
    assert_eq!(traffic(&scratch, midnight), (0, 0));
    scratch.queue.add_traffic(midnight, 5, 6).unwrap();
    assert_eq!(traffic(&scratch, midnight), (5, 6));
}

#[test]
fn children_are_noted_replaced_and_forgotten() {
    let mut scratch = Scratch::new();
    let mut child = SupervisedProcess {
        process: "default/a".parse().unwrap(),
        pid: 42,
        pid_start_ticks: 7,
        boot_id: "boot-a".to_owned(),
        spec_hash: "9f86d081884c7d65".parse().unwrap(),
    };
    scratch.queue.put_supervised(&child).unwrap();
    child.pid = 43;
    scratch.queue.put_supervised(&child).unwrap();
    scratch.reopen();
    assert_eq!(scratch.queue.list_supervised().unwrap(), [child.clone()]);
    scratch.queue.delete_supervised(&child.process).unwrap();
    assert_eq!(scratch.queue.list_supervised().unwrap(), []);
}
