//! Any interleaving of writes, requests, their ends and other writers, against an API server that refuses, fails and
//! loses answers, seen through a watch that lags.

use std::collections::{BTreeMap, BTreeSet};

use apollo_gateway_core::{
    object::{ProcessObject, ProcessStatus, ResourceVersion},
    store::WriteOutcome,
    writes::{Answer, Next, ObjectKey, Refused, Request, SendResult, WriteLimits},
};
use proptest::{collection::vec, prelude::*, sample::Index};

use crate::{
    api_server::{ApiServer, Ticket, by_repair, by_report, candidate, device_key, process_key},
    memory::object,
    turns::{End, Point, Turn, turn},
};

const PROCESSES: [(&str, &str); 4] = [("a", "buoy"), ("b", "buoy"), ("c", "truck"), ("d", "truck")];

const LIMITS: WriteLimits = WriteLimits {
    waiting_max: 12,
    in_flight_max: 2,
    per_second: 20,
    burst: 4,
    pause_default_ms: 300,
    // Every pause is told; one that is waited out is in paced.rs.
    patience_ms: 0,
    pause_max_ms: 1_000,
};

/// Everything that is checked on the way.
struct Run {
    server: ApiServer,
    under_way: Vec<Request>,
    /// Whose ticket it is: a report's process and point, or nobody's that must come through.
    tickets: BTreeMap<Ticket, Option<(usize, Point)>>,
    told: BTreeSet<Ticket>,
    /// Reports that have no good answer yet: their devices send them again.
    unsettled: BTreeSet<(usize, Point)>,
    sent_at_ms: Vec<u64>,
    foreign: BTreeMap<usize, u64>,
    paused_until_ms: u64,
    next_ticket: Ticket,
}

impl Run {
    fn new() -> Self {
        Self {
            server: ApiServer::with(LIMITS, &PROCESSES),
            under_way: Vec::new(),
            tickets: BTreeMap::new(),
            told: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            sent_at_ms: Vec::new(),
            foreign: BTreeMap::new(),
            paused_until_ms: 0,
            next_ticket: 0,
        }
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Report { of, point, is_late } => self.report(of.index(PROCESSES.len()), point, is_late),
            Turn::Repair { of, state, is_late } => {
                let name = PROCESSES[of.index(PROCESSES.len())].0;
                let read = self.version_of(&process_key(name), is_late);
                let ticket = self.new_ticket();
                let pushed = self.server.push_at(name, by_repair(state), read, ticket);
                self.pushed(ticket, None, pushed);
            }
            Turn::Device { of, is_late } => {
                let name = PROCESSES[of.index(PROCESSES.len())].1;
                let read = self.version_of(&device_key(name), is_late);
                let ticket = self.new_ticket();
                let pushed = self.server.push_device(name, &ticket.to_string(), read, ticket);
                self.pushed(ticket, None, pushed);
            }
            Turn::Next => {
                self.next();
            }
            Turn::End { which, how } => {
                if !self.under_way.is_empty() {
                    self.end(which.index(self.under_way.len()), how);
                }
            }
            Turn::OtherWriter { of } => {
                let of = of.index(PROCESSES.len());
                let count = self.foreign.entry(of).or_default();
                *count += 1;
                self.server.foreign_write(PROCESSES[of].0, *count);
            }
            Turn::WatchLags => {
                let objects = self.server.objects.clone();
                self.server.cache.get_or_insert(objects);
            }
            Turn::WatchCatchesUp => self.server.cache = None,
            Turn::Abandon { which } => self.abandon(which),
            Turn::TimePasses { ms } => self.server.now_ms += ms,
        }
        assert!(self.server.queue.unanswered() <= LIMITS.waiting_max, "R-12");
        assert!(self.server.queue.in_flight() <= LIMITS.in_flight_max, "R-12");
        assert_eq!(self.server.queue.in_flight(), self.under_way.len());
    }

    /// The version a machine read: the present one, or one of long ago.
    fn version_of(&self, key: &ObjectKey, is_late: bool) -> ResourceVersion {
        if is_late {
            ResourceVersion("0".to_owned())
        } else {
            self.server.version(key)
        }
    }

    fn new_ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        self.next_ticket
    }

    fn report(&mut self, of: usize, point: Point, is_late: bool) {
        self.unsettled.insert((of, point));
        let name = PROCESSES[of].0;
        let read = self.version_of(&process_key(name), is_late);
        let ticket = self.new_ticket();
        let join = by_report(Some(candidate(name, point.0, point.1)));
        let pushed = self.server.push_at(name, join, read, ticket);
        self.pushed(ticket, Some((of, point)), pushed);
    }

    fn pushed(&mut self, ticket: Ticket, of: Option<(usize, Point)>, pushed: Result<(), Refused>) {
        let is_paused = self.server.now_ms < self.paused_until_ms;
        match pushed {
            Ok(()) => {
                assert!(!is_paused, "taken during a pause");
                self.tickets.insert(ticket, of);
            }
            Err(Refused::Full) => assert!(!is_paused),
            Err(Refused::Paused { retry_after_ms }) => {
                assert_eq!(retry_after_ms, self.paused_until_ms - self.server.now_ms);
            }
        }
    }

    fn next(&mut self) -> Option<u64> {
        match self.server.next() {
            Next::Send(request) => {
                assert!(self.server.now_ms >= self.paused_until_ms, "sent during a pause");
                assert!(
                    self.under_way.iter().all(|other| other.key != request.key),
                    "two requests for one object"
                );
                self.sent_at_ms.push(self.server.now_ms);
                self.under_way.push(request);
                None
            }
            Next::Answers(answers) => {
                assert!(!answers.is_empty());
                self.tell(answers);
                None
            }
            Next::Wait(at_ms) => {
                assert!(at_ms.is_none_or(|at_ms| at_ms > self.server.now_ms));
                at_ms
            }
        }
    }

    /// One of the requests under way comes to its end.
    fn end(&mut self, which: usize, how: End) {
        let request = self.under_way.remove(which);
        let mut patch = || {
            let result = self.server.patch(&request);
            // A client knows what it has just written, and after a conflict reads what is there.
            if let (Some(cache), Some(is)) = (&mut self.server.cache, self.server.objects.get(&request.key)) {
                cache.insert(request.key.clone(), is.clone());
            }
            result
        };
        let result = match how {
            End::Answered => patch(),
            End::NoAnswer { was_done } => {
                if was_done {
                    let _ = patch();
                }
                SendResult::Unavailable { retry_after_ms: None }
            }
            End::TooMany { retry_after_ms } => {
                let pause_ms = retry_after_ms
                    .unwrap_or(LIMITS.pause_default_ms)
                    .min(LIMITS.pause_max_ms);
                self.paused_until_ms = self.paused_until_ms.max(self.server.now_ms + pause_ms);
                SendResult::TooManyRequests { retry_after_ms }
            }
        };
        let is_pause = matches!(how, End::TooMany { .. });
        let answers = self.server.done(&request.key, result);
        if is_pause {
            let left = Some(self.paused_until_ms - self.server.now_ms);
            assert!(
                answers
                    .iter()
                    .all(|answer| answer.outcome.as_ref().is_err_and(|un| un.retry_after_ms == left))
            );
        }
        self.tell(answers);
    }

    fn tell(&mut self, answers: Vec<Answer<Ticket>>) {
        for Answer { ticket, outcome } in answers {
            assert!(self.told.insert(ticket), "answered twice");
            if let (Some((of, point)), Ok(WriteOutcome::Written(_))) = (self.tickets[&ticket], outcome) {
                let held = self.server.process(PROCESSES[of].0).object.status.sync;
                let held = held.map(|sync| (sync.epoch, sync.sequence));
                assert!(
                    held >= Some(point),
                    "R-03: {held:?} after an answer for {point:?}"
                );
                self.unsettled.remove(&(of, point));
            }
        }
    }

    fn abandon(&mut self, which: Index) {
        let open: Vec<Ticket> = self
            .tickets
            .keys()
            .filter(|ticket| !self.told.contains(ticket))
            .copied()
            .collect();
        if !open.is_empty() {
            self.server.unwanted.push(open[which.index(open.len())]);
        }
    }

    /// Nothing goes wrong any more, and devices send again what has no good answer.
    fn drain(&mut self) {
        self.server.cache = None;
        for _ in 0..10_000 {
            while !self.under_way.is_empty() {
                self.end(0, End::Answered);
            }
            if let Some(at_ms) = self.next() {
                self.server.now_ms = at_ms;
                continue;
            }
            if self.under_way.is_empty() && self.server.queue.unanswered() == 0 {
                let Some((of, point)) = self.unsettled.first().copied() else {
                    return;
                };
                self.server.now_ms = self.server.now_ms.max(self.paused_until_ms);
                self.report(of, point, false);
            }
        }
        panic!("R-11: no end");
    }

    /// In any window no more than a burst and what the rate gives.
    fn assert_rate(&self) {
        for (first, from_ms) in self.sent_at_ms.iter().enumerate() {
            for (last, to_ms) in self.sent_at_ms.iter().enumerate().skip(first) {
                let sent = u64::try_from(last - first + 1).unwrap();
                let most = u64::from(LIMITS.burst) * 1_000 + (to_ms - from_ms) * u64::from(LIMITS.per_second);
                assert!(sent * 1_000 <= most, "{sent} requests from {from_ms} to {to_ms}");
            }
        }
    }
}

/// What a status holds of an observation, and what it says of its process.
fn observed(status: &ProcessStatus) -> impl PartialEq + std::fmt::Debug + use<> {
    let conditions: BTreeSet<(String, String, String)> = status
        .conditions
        .iter()
        .filter(|condition| condition.kind == "Ready")
        .map(|condition| {
            (
                condition.kind.clone(),
                condition.status.clone(),
                condition.reason.clone(),
            )
        })
        .collect();
    (
        status.sync,
        status.state,
        status.pid,
        status.observed_spec_hash,
        status.observed_generation,
        conditions,
    )
}

/// The joins one by one.
fn one_by_one(of: usize, points: &[Point]) -> ProcessObject {
    let (name, bound_to) = PROCESSES[of];
    points.iter().fold(object(name, bound_to), |held, point| {
        let status = by_report(Some(candidate(name, point.0, point.1))).onto(&held);
        ProcessObject {
            status: status.unwrap_or_else(|| held.status.clone()),
            ..held
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn r04_any_interleaving_comes_to_the_joins_one_by_one(
        turns in vec(turn(), 0..150),
        order in any::<Index>(),
    ) {
        let mut run = Run::new();
        let mut seen: BTreeMap<usize, Vec<Point>> = BTreeMap::new();
        for turn in turns {
            if let Turn::Report { of, point, .. } = &turn {
                seen.entry(of.index(PROCESSES.len())).or_default().push(*point);
            }
            run.turn(turn);
        }
        run.drain();
        run.assert_rate();
        let untold: Vec<_> = run.tickets.keys().filter(|ticket| !run.told.contains(ticket)).collect();
        prop_assert!(untold.iter().all(|ticket| run.server.unwanted.contains(ticket)), "never told: {:?}", untold);
        for (of, (name, _)) in PROCESSES.iter().enumerate() {
            let mut points = seen.remove(&of).unwrap_or_default();
            if !points.is_empty() {
                let start = order.index(points.len());
                points.rotate_left(start);
            }
            let status = &run.server.process(name).object.status;
            prop_assert_eq!(observed(status), observed(&one_by_one(of, &points).status));
            if let Some(count) = run.foreign.get(&of) {
                prop_assert_eq!(&status.foreign["others"], *count, "R-05");
                prop_assert_eq!(&status.conditions[0].message, &count.to_string(), "R-05");
            }
        }
    }
}
