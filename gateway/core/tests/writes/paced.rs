//! Bounds of the queue, turns of devices, and the rate.

use apollo_gateway_core::{
    store::WriteOutcome,
    writes::{Next, ObjectKey, Refused, WriteLimits},
};
use apollo_wire::DeviceName;

use crate::{
    api_server::{ApiServer, by_report, candidate, device_key, process_key, wide},
    memory::{device, process},
};

/// `n` processes of a device: `{device}-{k}`.
pub(crate) fn processes(of: &str, n: usize) -> Vec<(String, String)> {
    (0..n).map(|k| (format!("{of}-{k}"), of.to_owned())).collect()
}

pub(crate) fn server(limits: WriteLimits, processes: &[(String, String)]) -> ApiServer {
    let processes: Vec<(&str, &str)> = processes
        .iter()
        .map(|(name, bound_to)| (name.as_str(), bound_to.as_str()))
        .collect();
    ApiServer::with(limits, &processes)
}

pub(crate) fn push(server: &mut ApiServer, name: &str, ticket: u32) -> Result<(), Refused> {
    server.push(name, by_report(Some(candidate(name, 1, 1))), ticket)
}

/// Whose process a request is about.
fn device_of(server: &ApiServer, key: &ObjectKey) -> DeviceName {
    let ObjectKey::Process(of) = key else {
        panic!("{key:?}")
    };
    server.process(of.name()).object.device.clone()
}

#[test]
fn r12_no_more_than_waiting_max_have_no_answer() {
    let limits = WriteLimits {
        waiting_max: 3,
        ..wide()
    };
    let all: Vec<_> = ["a", "b", "c", "d"]
        .iter()
        .flat_map(|of| processes(of, 1))
        .collect();
    let mut server = server(limits, &all);
    for (ticket, name) in ["a-0", "b-0", "c-0"].iter().enumerate() {
        push(&mut server, name, u32::try_from(ticket).unwrap()).unwrap();
    }
    assert_eq!(push(&mut server, "d-0", 9), Err(Refused::Full));
    let request = server.send();
    assert_eq!(
        push(&mut server, "d-0", 9),
        Err(Refused::Full),
        "what is under way counts"
    );
    server.carry_out(&request);
    push(&mut server, "d-0", 9).unwrap();
    assert_eq!(server.queue.unanswered(), 3);
}

#[test]
fn r12_a_device_has_at_most_half_of_the_places() {
    let limits = WriteLimits {
        waiting_max: 8,
        ..wide()
    };
    let mut server = server(limits, &[processes("flood", 5), processes("one", 3)].concat());
    for ticket in 0..4 {
        push(&mut server, &format!("flood-{ticket}"), ticket).unwrap();
    }
    assert_eq!(push(&mut server, "flood-4", 4), Err(Refused::Full));
    for ticket in 0..3 {
        push(&mut server, &format!("one-{ticket}"), 5 + ticket).unwrap();
    }
}

#[test]
fn r12_the_last_eighth_of_the_places_is_for_device_writes() {
    let limits = WriteLimits {
        waiting_max: 8,
        ..wide()
    };
    let mut server = server(limits, &[processes("a", 4), processes("b", 4)].concat());
    for (ticket, name) in ["a-0", "a-1", "a-2", "a-3", "b-0", "b-1", "b-2"]
        .iter()
        .enumerate()
    {
        push(&mut server, name, u32::try_from(ticket).unwrap()).unwrap();
    }
    assert_eq!(push(&mut server, "b-3", 7), Err(Refused::Full));
    let read = server.version(&device_key("a"));
    server.push_device("a", "1", read.clone(), 8).unwrap();
    assert_eq!(server.push_device("a", "2", read, 9), Err(Refused::Full));
}

#[test]
fn r12_a_request_is_taken_whole_or_not_at_all() {
    let limits = WriteLimits {
        waiting_max: 6,
        ..wide()
    };
    let mut server = server(limits, &processes("a", 4));
    let names = ["a-0", "a-1", "a-2", "a-3"];
    assert_eq!(server.push_together("a", &names), Err(Refused::Full));
    assert_eq!((server.next(), server.queue.unanswered()), (Next::Wait(None), 0));
    assert_eq!(server.push_together("a", &names[1..]), Ok(()));
    assert_eq!(server.queue.unanswered(), 3);
}

#[test]
fn r12_no_more_than_in_flight_max_are_under_way() {
    let limits = WriteLimits {
        in_flight_max: 2,
        ..wide()
    };
    let mut server = server(limits, &processes("a", 3));
    for ticket in 0..3 {
        push(&mut server, &format!("a-{ticket}"), ticket).unwrap();
    }
    let first = server.send();
    let _second = server.send();
    assert_eq!((server.next(), server.queue.in_flight()), (Next::Wait(None), 2));
    server.carry_out(&first);
    let _third = server.send();
}

#[test]
fn a_device_with_a_thousand_writes_holds_another_up_by_one_turn() {
    let mut server = server(wide(), &[processes("flood", 1_000), processes("one", 2)].concat());
    for ticket in 0..1_000 {
        push(&mut server, &format!("flood-{ticket}"), ticket).unwrap();
    }
    for _ in 0..10 {
        let _ = server.send();
    }
    push(&mut server, "one-0", 1_000).unwrap();
    push(&mut server, "one-1", 1_001).unwrap();
    let turns: Vec<DeviceName> = (0..5)
        .map(|_| {
            let request = server.send();
            device_of(&server, &request.key)
        })
        .collect();
    let expected = ["flood", "one", "flood", "one", "flood"].map(device);
    assert_eq!(turns, expected);
}

#[test]
fn a_process_that_another_device_waits_for_as_well_comes_at_the_first_turn_of_either() {
    let mut server = server(wide(), &[processes("flood", 100), processes("one", 1)].concat());
    for ticket in 0..100 {
        push(&mut server, &format!("flood-{ticket}"), ticket).unwrap();
    }
    // The last of them is bound to the other device now, which has something to say of it.
    server.edit("flood-99", |object| object.device = device("one"));
    push(&mut server, "flood-99", 100).unwrap();
    assert_eq!(server.send().key, process_key("flood-0"));
    assert_eq!(server.answers(), [(99, WriteOutcome::Conflict)]);
    assert_eq!(server.send().key, process_key("flood-99"));
    assert_eq!(server.send().key, process_key("flood-1"));
}

#[test]
fn within_a_device_the_first_that_can_be_sent_is_first() {
    let mut server = server(wide(), &processes("a", 3));
    push(&mut server, "a-0", 0).unwrap();
    let busy = server.send();
    // a-0 is under way: its next write keeps its place before a-1 and a-2.
    let again = by_report(Some(candidate("a-0", 1, 2)));
    server.push("a-0", again, 1).unwrap();
    push(&mut server, "a-1", 2).unwrap();
    push(&mut server, "a-2", 3).unwrap();
    let key = |name: &str| ObjectKey::Process(process(name));
    assert_eq!(server.send().key, key("a-1"));
    server.carry_out(&busy);
    assert_eq!(server.send().key, key("a-0"));
    assert_eq!(server.send().key, key("a-2"));
}

#[test]
fn an_answer_without_a_request_takes_no_turn() {
    let mut server = server(wide(), &[processes("a", 2), processes("b", 1)].concat());
    let read = server.version(&process_key("a-0"));
    push(&mut server, "a-0", 0).unwrap();
    server.edit("a-1", |object| object.device = device("b"));
    let stale = by_report(Some(candidate("a-1", 1, 1)));
    server.push_for("a", "a-1", stale, read, 1).unwrap();
    push(&mut server, "b-0", 2).unwrap();
    assert_eq!(server.send().key, process_key("a-0"));
    assert_eq!(server.send().key, process_key("b-0"));
    assert_eq!(server.answers(), [(1, WriteOutcome::Conflict)]);
}

#[test]
fn r12_the_rate_is_a_burst_and_then_so_many_per_second() {
    let limits = WriteLimits {
        per_second: 4,
        burst: 3,
        ..wide()
    };
    let mut server = server(limits, &processes("a", 6));
    for ticket in 0..6 {
        push(&mut server, &format!("a-{ticket}"), ticket).unwrap();
    }
    for _ in 0..3 {
        let _ = server.send();
    }
    assert_eq!(server.next(), Next::Wait(Some(1_250)));
    server.now_ms = 1_249;
    assert_eq!(server.next(), Next::Wait(Some(1_250)));
    server.now_ms = 1_250;
    let _ = server.send();
    assert_eq!(server.next(), Next::Wait(Some(1_500)));
    // A clock that stands still or goes back gives nothing away.
    server.now_ms = 10;
    assert_eq!(server.next(), Next::Wait(Some(1_500)));
    // However long the rest, no more than a burst.
    server.now_ms = 1_000_000;
    let _ = server.send();
    let _ = server.send();
    assert_eq!(server.next(), Next::Wait(None), "nothing is left to send");
}

#[test]
fn limits_of_zero_count_as_one() {
    let limits = WriteLimits {
        waiting_max: 0,
        in_flight_max: 0,
        per_second: 0,
        burst: 0,
        ..wide()
    };
    let mut server = server(limits, &processes("a", 2));
    push(&mut server, "a-0", 0).unwrap();
    assert_eq!(push(&mut server, "a-1", 1), Err(Refused::Full));
    let request = server.send();
    server.carry_out(&request);
    push(&mut server, "a-1", 1).unwrap();
    assert_eq!(server.next(), Next::Wait(Some(2_000)));
}
