//! Pauses that an API server asks for with 429, and what may be under way after them.

use apollo_gateway_core::{
    store::WriteOutcome,
    writes::{Next, ObjectKey, Refused, SendResult, WriteLimits},
};

use crate::{
    api_server::{ApiServer, wide},
    paced::{processes, push, server},
};

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
