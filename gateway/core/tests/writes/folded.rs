//! What becomes of writes that wait for one object.

use apollo_gateway_core::{
    conditions,
    object::{DeviceState, SyncPoint},
    store::WriteOutcome::{Conflict, Written},
    writes::{Next, SendResult},
};

use crate::{
    api_server::{ApiServer, by_repair, by_report, candidate, outcomes, process_key, wide},
    memory::{device, now},
};

fn server() -> ApiServer {
    ApiServer::with(wide(), &[("own", "buoy")])
}

fn sequence(server: &ApiServer, name: &str) -> Option<SyncPoint> {
    server.process(name).object.status.sync
}

fn connected(server: &ApiServer) -> Option<&str> {
    let conditions = &server.process("own").object.status.conditions;
    conditions::find(conditions, conditions::AGENT_CONNECTED).map(|condition| condition.status.as_str())
}

#[test]
fn r04_writes_that_wait_for_one_object_become_one_request_of_the_greatest() {
    let mut server = server();
    for (ticket, at) in [(1, 5), (2, 9), (3, 7)] {
        server
            .push("own", by_report(Some(candidate("own", 1, at))), ticket)
            .unwrap();
    }
    let request = server.send();
    assert_eq!((request.writes, request.carried_over), (3, 0));
    assert_eq!(server.next(), Next::Wait(None), "one request for one object");
    let version = Written(server.version(&process_key("own")));
    let told = server.carry_out(&request);
    let written = Written(server.version(&process_key("own")));
    assert_ne!(written, version);
    assert_eq!(told, [(1, written.clone()), (2, written.clone()), (3, written)]);
    let status = &server.process("own").object.status;
    assert_eq!(
        status.sync,
        Some(SyncPoint {
            epoch: 1,
            sequence: 9
        })
    );
    assert_eq!(status.pid, Some(1_009));
    assert_eq!(server.queue.unanswered(), 0);
}

#[test]
fn what_comes_while_a_request_is_under_way_waits_and_is_carried_over_to_its_result() {
    let mut server = server();
    server
        .push("own", by_report(Some(candidate("own", 1, 1))), 1)
        .unwrap();
    let first = server.send();
    for (ticket, at) in [(2, 2), (3, 3)] {
        server
            .push("own", by_report(Some(candidate("own", 1, at))), ticket)
            .unwrap();
    }
    assert_eq!(server.next(), Next::Wait(None));
    assert_eq!(server.carry_out(&first).len(), 1);
    let second = server.send();
    assert_eq!((second.writes, second.carried_over), (2, 2));
    assert!(
        server
            .carry_out(&second)
            .iter()
            .all(|(_, outcome)| matches!(outcome, Written(_))),
        "no conflict with oneself"
    );
    assert_eq!(
        sequence(&server, "own"),
        Some(SyncPoint {
            epoch: 1,
            sequence: 3
        })
    );
}

#[test]
fn r05_what_others_wrote_meanwhile_is_in_the_request() {
    let mut server = server();
    server
        .push("own", by_report(Some(candidate("own", 1, 1))), 1)
        .unwrap();
    server.foreign_write("own", 7);
    let request = server.send();
    assert_eq!(request.carried_over, 1);
    server.carry_out(&request);
    let status = &server.process("own").object.status;
    assert_eq!(status.foreign["others"], 7);
    assert_eq!(status.conditions[0].message, "7");
    assert_eq!(status.sync.unwrap().sequence, 1);
}

#[test]
fn r06_what_the_object_says_already_needs_no_request() {
    let mut server = server();
    let old = server.version(&process_key("own"));
    server
        .push("own", by_report(Some(candidate("own", 1, 8))), 1)
        .unwrap();
    let request = server.send();
    server.carry_out(&request);
    for (ticket, at) in [(2, 8), (3, 5)] {
        server
            .push_at(
                "own",
                by_report(Some(candidate("own", 1, at))),
                old.clone(),
                ticket,
            )
            .unwrap();
    }
    let version = Written(server.version(&process_key("own")));
    assert_eq!(server.answers(), [(2, version.clone()), (3, version)]);
    assert_eq!((server.next(), server.queue.unanswered()), (Next::Wait(None), 0));
}

#[test]
fn r07_a_write_by_a_device_that_the_process_is_no_longer_bound_to_is_a_conflict() {
    let mut server = server();
    let read = server.version(&process_key("own"));
    server
        .push("own", by_report(Some(candidate("own", 1, 8))), 1)
        .unwrap();
    server.edit("own", |object| object.device = device("truck"));
    let bound = by_report(Some(candidate("own", 1, 2)));
    server.push_for("truck", "own", bound, read, 2).unwrap();
    assert_eq!(server.answers(), [(1, Conflict)]);
    let request = server.send();
    assert_eq!(request.writes, 1);
    server.carry_out(&request);
    let status = &server.process("own").object.status;
    assert_eq!(status.observed_device, Some(device("truck")));
    assert_eq!(status.sync.unwrap().sequence, 2);
}

#[test]
fn r05_a_repair_is_not_carried_over_but_a_report_is() {
    let mut server = server();
    let read = server.version(&process_key("own"));
    server.foreign_write("own", 1);
    server
        .push_at("own", by_repair(DeviceState::Lost), read.clone(), 1)
        .unwrap();
    assert_eq!(
        server.answers(),
        [(1, Conflict)],
        "its device may have come back since"
    );
    server.push_at("own", by_report(None), read, 2).unwrap();
    let request = server.send();
    assert_eq!((request.writes, request.carried_over), (1, 1));
    server.carry_out(&request);
    assert_eq!(connected(&server), Some("True"));
    server.push("own", by_repair(DeviceState::Lost), 3).unwrap();
    let request = server.send();
    server.carry_out(&request);
    assert_eq!(
        connected(&server),
        Some("False"),
        "at the version it was computed from"
    );
}

#[test]
fn a_repair_does_not_share_a_request_with_a_write_that_knows_another_state() {
    for report_first in [true, false] {
        let mut server = server();
        let push_report = |server: &mut ApiServer| {
            server
                .push("own", by_report(Some(candidate("own", 1, 1))), 1)
                .unwrap();
        };
        if report_first {
            push_report(&mut server);
        }
        server.push("own", by_repair(DeviceState::Lost), 2).unwrap();
        server.push("own", by_repair(DeviceState::Connected), 3).unwrap();
        if !report_first {
            push_report(&mut server);
        }
        assert_eq!(server.answers(), [(2, Conflict)], "in whatever order they came");
        let request = server.send();
        assert_eq!(request.writes, 2);
        server.carry_out(&request);
        assert_eq!(connected(&server), Some("True"));
    }
}

#[test]
fn of_repairs_that_disagree_the_first_is_sent() {
    let mut server = server();
    server.push("own", by_report(None), 1).unwrap();
    let request = server.send();
    server.carry_out(&request);
    server.push("own", by_repair(DeviceState::Lost), 2).unwrap();
    server.push("own", by_repair(DeviceState::Blocked), 3).unwrap();
    assert_eq!(server.answers(), [(3, Conflict)]);
    let request = server.send();
    server.carry_out(&request);
    let conditions = &server.process("own").object.status.conditions;
    let condition = conditions::find(conditions, conditions::AGENT_CONNECTED).unwrap();
    assert_eq!(
        (condition.status.as_str(), condition.reason.as_str()),
        ("False", "AgentLost")
    );
}

#[test]
fn conditions_do_not_flip_in_between_and_the_latest_time_counts() {
    let mut server = server();
    server
        .push("own", by_report(Some(candidate("own", 1, 1))), 1)
        .unwrap();
    let request = server.send();
    server.carry_out(&request);
    let ready = |server: &ApiServer| {
        conditions::find(&server.process("own").object.status.conditions, "Ready").cloned()
    };
    let before = ready(&server);
    assert_eq!(before.as_ref().map(|ready| ready.status.as_str()), Some("True"));
    // Failed at 3, running again at 4: one by one, Ready would fall and rise.
    for (ticket, at, later_ms) in [(2, 3, 5_000), (3, 2, 9_000), (4, 4, 7_000)] {
        let mut join = by_report(Some(candidate("own", 1, at)));
        join.now = now().plus(later_ms);
        server.push("own", join, ticket).unwrap();
    }
    let request = server.send();
    server.carry_out(&request);
    assert_eq!(ready(&server), before);
    let status = &server.process("own").object.status;
    assert_eq!(status.last_report_time, Some(now().plus(9_000)));
}

#[test]
fn of_one_observation_told_twice_the_first_is_kept() {
    let mut server = server();
    for (ticket, corrected_at) in [(1, now()), (2, now().plus(4_000))] {
        let mut seen = candidate("own", 1, 1);
        seen.corrected_at = Some(corrected_at);
        server.push("own", by_report(Some(seen)), ticket).unwrap();
    }
    let request = server.send();
    server.carry_out(&request);
    let status = &server.process("own").object.status;
    assert_eq!(status.last_observed_time, Some(now()));
}

#[test]
fn r05_a_version_that_was_found_outdated_is_not_tried_again() {
    let mut server = server();
    server.cache = Some(server.objects.clone());
    server.foreign_write("own", 1);
    server
        .push("own", by_report(Some(candidate("own", 1, 1))), 1)
        .unwrap();
    let request = server.send();
    server
        .push("own", by_report(Some(candidate("own", 1, 2))), 2)
        .unwrap();
    assert_eq!(server.carry_out(&request), [(1, Conflict)]);
    assert_eq!(server.answers(), [(2, Conflict)], "the cache lags still");
    // The machines read again, and with that the cache is up to date.
    server.cache = None;
    for (ticket, at) in [(3, 1), (4, 2)] {
        server
            .push("own", by_report(Some(candidate("own", 1, at))), ticket)
            .unwrap();
    }
    let request = server.send();
    assert_eq!(server.carry_out(&request).len(), 2);
    assert_eq!(sequence(&server, "own").unwrap().sequence, 2);
}

#[test]
fn what_nobody_waits_for_any_more_is_not_sent() {
    let mut server = server();
    for ticket in [1, 2] {
        server
            .push("own", by_report(Some(candidate("own", 1, ticket.into()))), ticket)
            .unwrap();
    }
    server.unwanted = vec![2];
    let request = server.send();
    assert_eq!(request.writes, 1);
    let told = server.carry_out(&request);
    assert_eq!(told.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), [1]);
    assert_eq!(sequence(&server, "own").unwrap().sequence, 1);
    server
        .push("own", by_report(Some(candidate("own", 1, 3))), 2)
        .unwrap();
    assert_eq!((server.next(), server.queue.unanswered()), (Next::Wait(None), 0));
}

#[test]
fn nothing_is_kept_of_objects_whose_writes_are_answered() {
    let mut server = ApiServer::with(wide(), &[("own", "buoy"), ("other", "buoy")]);
    let is_empty =
        |server: &ApiServer| format!("{:?}", server.queue).contains("objects: {}, held: {}, total: 0");
    assert!(is_empty(&server));
    server.push("own", by_report(None), 1).unwrap();
    server.push("other", by_report(None), 2).unwrap();
    assert!(!is_empty(&server));
    let first = server.send();
    let second = server.send();
    server.carry_out(&first);
    server.carry_out(&second);
    assert!(is_empty(&server));
    server.edit("own", |object| object.status = Default::default());
    server.edit("other", |object| object.status = Default::default());
    server.push("own", by_report(None), 3).unwrap();
    server.push("other", by_report(None), 4).unwrap();
    let first = server.send();
    // Longer than anybody waits.
    let too_many = SendResult::TooManyRequests {
        retry_after_ms: Some(30_000),
    };
    assert_eq!(server.done(&first.key, too_many).len(), 2);
    assert!(is_empty(&server));
}

#[test]
fn the_end_of_a_request_that_was_never_sent_tells_nobody() {
    let mut server = server();
    assert_eq!(outcomes(server.done(&process_key("own"), SendResult::Gone)), []);
    server.push("own", by_report(None), 1).unwrap();
    assert_eq!(outcomes(server.done(&process_key("own"), SendResult::Gone)), []);
    let request = server.send();
    assert_eq!(server.carry_out(&request).len(), 1);
    assert_eq!(outcomes(server.done(&request.key, SendResult::Gone)), []);
    assert_eq!((server.queue.unanswered(), server.queue.in_flight()), (0, 0));
}
