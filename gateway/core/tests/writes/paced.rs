//! Bounds of the queue, turns of devices, the rate, and pauses.

use apollo_gateway_core::{
    store::WriteOutcome,
    writes::{Next, ObjectKey, Refused, SendResult, WriteLimits},
};
use apollo_wire::DeviceName;

use crate::{
    api_server::{ApiServer, by_report, candidate, device_key, process_key, wide},
    memory::{device, process},
};

/// `n` processes of a device: `{device}-{k}`.
fn processes(of: &str, n: usize) -> Vec<(String, String)> {
    (0..n).map(|k| (format!("{of}-{k}"), of.to_owned())).collect()
}

fn server(limits: WriteLimits, processes: &[(String, String)]) -> ApiServer {
    let processes: Vec<(&str, &str)> = processes
        .iter()
        .map(|(name, bound_to)| (name.as_str(), bound_to.as_str()))
        .collect();
    ApiServer::with(limits, &processes)
}

fn push(server: &mut ApiServer, name: &str, ticket: u32) -> Result<(), Refused> {
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

/// Two requests under way, one write waiting, and then a 429 for the first.
fn told_to_wait(retry_after_ms: Option<u64>) -> (ApiServer, Vec<(u32, Option<u64>)>, ObjectKey) {
    let limits = WriteLimits {
        in_flight_max: 2,
        per_second: 10,
        burst: 100,
        pause_default_ms: 1_000,
        patience_ms: 0,
        pause_max_ms: 30_000,
        ..wide()
    };
    let mut server = server(limits, &processes("a", 4));
    for ticket in 0..3 {
        push(&mut server, &format!("a-{ticket}"), ticket).unwrap();
    }
    let (first, second) = (server.send(), server.send());
    let told = server.done(&first.key, SendResult::TooManyRequests { retry_after_ms });
    let told = told
        .into_iter()
        .map(|answer| (answer.ticket, answer.outcome.unwrap_err().retry_after_ms))
        .collect();
    (server, told, second.key)
}

#[test]
fn r12_a_429_stops_everything_for_as_long_as_it_says() {
    let (mut server, told, other) = told_to_wait(Some(5_000));
    assert_eq!(
        told,
        [(0, Some(5_000)), (2, Some(5_000))],
        "its own and all that waited"
    );
    assert_eq!(server.queue.unanswered(), 1, "the other one is under way still");
    server.now_ms += 4_999;
    let rest = Refused::Paused { retry_after_ms: 1 };
    assert_eq!(push(&mut server, "a-3", 7), Err(rest));
    let told = server.done(&other, SendResult::Gone);
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0].outcome,
        Ok(WriteOutcome::Gone),
        "what was under way keeps its own outcome"
    );
    server.now_ms += 1;
    push(&mut server, "a-3", 7).unwrap();
    // No burst for one who was just told to slow down.
    assert_eq!(server.next(), Next::Wait(Some(6_100)));
    server.now_ms = 6_100;
    let _ = server.send();
}

#[test]
fn r12_a_429_without_a_time_and_one_with_too_long_a_time() {
    for (said, is) in [
        (None, 1_000),
        (Some(0), 0),
        (Some(30_000), 30_000),
        (Some(30_001), 30_000),
        (Some(u64::MAX), 30_000),
    ] {
        let (mut server, told, _) = told_to_wait(said);
        let refused = push(&mut server, "a-3", 7);
        if is == 0 {
            assert_eq!((told, refused), (vec![], Ok(())), "no pause is waited out");
        } else {
            assert_eq!(told, [(0, Some(is)), (2, Some(is))], "{said:?}");
            assert_eq!(refused, Err(Refused::Paused { retry_after_ms: is }));
        }
    }
}

/// A pause within the patience is waited out: nobody is told, nothing is sent, and what was refused goes first after it.
#[test]
fn r12_a_429_within_the_patience_costs_nobody_an_answer_and_one_past_it_does() {
    for (pause_ms, is_told) in [(2_000, false), (2_001, true)] {
        let limits = WriteLimits {
            in_flight_max: 1,
            patience_ms: 2_000,
            pause_max_ms: 30_000,
            ..wide()
        };
        let mut server = server(limits, &processes("a", 3));
        push(&mut server, "a-0", 0).unwrap();
        push(&mut server, "a-1", 1).unwrap();
        let first = server.send();
        let retry_after_ms = Some(pause_ms);
        let told = server.done(&first.key, SendResult::TooManyRequests { retry_after_ms });
        assert_eq!(told.len(), if is_told { 2 } else { 0 });
        let refused = push(&mut server, "a-2", 2);
        if is_told {
            assert_eq!(
                refused,
                Err(Refused::Paused {
                    retry_after_ms: pause_ms
                })
            );
            continue;
        }
        assert_eq!(refused, Ok(()));
        assert!(matches!(server.next(), Next::Wait(Some(at_ms)) if at_ms >= server.now_ms + pause_ms));
        server.now_ms += pause_ms + 1_000;
        let again = server.send();
        assert_eq!(
            (&again.key, again.writes),
            (&first.key, 1),
            "the same, first in line"
        );
        let told = server.carry_out(&again);
        assert_eq!((told.len(), server.queue.unanswered()), (1, 2));
    }
}

/// One burst that is refused halves what may be under way once, however many of it are refused.
#[test]
fn after_a_429_fewer_are_under_way_and_with_each_round_one_more() {
    let limits = WriteLimits {
        in_flight_max: 8,
        patience_ms: 2_000,
        ..wide()
    };
    let mut server = server(limits, &processes("a", 40));
    for ticket in 0..40 {
        push(&mut server, &format!("a-{ticket}"), ticket).unwrap();
    }
    let burst: Vec<_> = (0..8).map(|_| server.send()).collect();
    for request in &burst {
        let too_many = SendResult::TooManyRequests {
            retry_after_ms: Some(1_000),
        };
        assert!(server.done(&request.key, too_many).is_empty());
    }
    let under_way = |server: &mut ApiServer| {
        server.now_ms += 10_000;
        let mut requests = Vec::new();
        while let Next::Send(request) = server.next() {
            requests.push(request);
        }
        for request in &requests {
            server.carry_out(request);
        }
        requests.len()
    };
    let rounds: Vec<usize> = (0..6).map(|_| under_way(&mut server)).collect();
    assert_eq!(rounds, [4, 5, 6, 7, 8, 8]);
}

#[test]
fn a_second_429_prolongs_the_pause_and_never_shortens_it() {
    for (second_ms, until_ms) in [(100, 5_000), (9_000, 9_000)] {
        let (mut server, _, other) = told_to_wait(Some(5_000));
        let told = server.done(
            &other,
            SendResult::TooManyRequests {
                retry_after_ms: Some(second_ms),
            },
        );
        assert_eq!(
            told[0].outcome.as_ref().unwrap_err().retry_after_ms,
            Some(until_ms)
        );
        let rest = Refused::Paused {
            retry_after_ms: until_ms,
        };
        assert_eq!(push(&mut server, "a-3", 7), Err(rest));
    }
}
