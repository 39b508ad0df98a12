//! The queue: which writes wait, which are under way, and who gets an answer.

use std::collections::BTreeMap;

use apollo_wire::DeviceName;

use super::{
    Answer, Current, Next, ObjectKey, Refused, Request, SendResult, Unavailable, Write, WriteLimits,
    fold::{Fate, fold},
    rate::Rate,
    turns::{Arrival, Turns},
    window::Window,
};
use crate::{object::ResourceVersion, store::WriteOutcome, tracker::MonotonicMs};

/// Status writes that have no answer yet. `T` is a ticket: whom to tell what a write came to. Each ticket is given back
/// once, unless nobody waits for it any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WriteQueue<T> {
    limits: WriteLimits,
    rate: Rate,
    window: Window,
    turns: Turns,
    objects: BTreeMap<ObjectKey, Object<T>>,
    /// Writes without an answer, by device and in all.
    held: BTreeMap<DeviceName, usize>,
    total: usize,
    in_flight: usize,
    arrivals: Arrival,
}

/// Writes for one object. While a request is under way none of them is anybody's turn.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Object<T> {
    waiting: Vec<Entry<T>>,
    sent: Option<Sent<T>>,
    /// The version that the last request found outdated.
    outdated: Option<ResourceVersion>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Entry<T> {
    arrival: Arrival,
    device: DeviceName,
    write: Write,
    ticket: T,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sent<T> {
    expected: ResourceVersion,
    entries: Vec<Entry<T>>,
}

impl<T> WriteQueue<T> {
    /// An empty queue with a full bucket.
    pub fn new(limits: WriteLimits) -> Self {
        Self {
            rate: Rate::new(&limits),
            window: Window::new(limits.in_flight_max),
            limits,
            turns: Turns::default(),
            objects: BTreeMap::new(),
            held: BTreeMap::new(),
            total: 0,
            in_flight: 0,
            arrivals: 0,
        }
    }

    /// Writes that have no answer yet, those under way included.
    pub fn unanswered(&self) -> usize {
        self.total
    }

    /// Requests under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whose writes the request under way for an object carries, for what is logged of it.
    pub fn carried(&self, key: &ObjectKey) -> impl Iterator<Item = &T> {
        let sent = self.objects.get(key).and_then(|object| object.sent.as_ref());
        sent.into_iter()
            .flat_map(|sent| sent.entries.iter().map(|entry| &entry.ticket))
    }

    /// Takes one write of `device`'s machine, as [`push_all`](Self::push_all) does.
    ///
    /// # Errors
    /// [`Refused`], with the ticket, if it is not taken.
    pub fn push(
        &mut self,
        device: DeviceName,
        write: Write,
        ticket: T,
        now_ms: MonotonicMs,
    ) -> Result<(), (Refused, T)> {
        match self.may_take(&device, std::slice::from_ref(&write), now_ms) {
            Ok(()) => {
                self.take(&device, write, ticket);
                Ok(())
            }
            Err(refused) => Err((refused, ticket)),
        }
    }

    /// Takes the writes of one request of `device`'s machine, on whose turns they count: all of them or none. A machine
    /// that is refused a part tries all again, and until it is through a repair may undo the rest.
    ///
    /// # Errors
    /// [`Refused`], if none is taken; the tickets are dropped.
    pub fn push_all(
        &mut self,
        device: &DeviceName,
        writes: Vec<(Write, T)>,
        now_ms: MonotonicMs,
    ) -> Result<(), Refused> {
        let (writes, tickets): (Vec<Write>, Vec<T>) = writes.into_iter().unzip();
        self.may_take(device, &writes, now_ms)?;
        for (write, ticket) in writes.into_iter().zip(tickets) {
            self.take(device, write, ticket);
        }
        Ok(())
    }

    /// See [`WriteLimits::waiting_max`].
    fn may_take(&self, device: &DeviceName, writes: &[Write], now_ms: MonotonicMs) -> Result<(), Refused> {
        let pause_left_ms = self.rate.pause_left_ms(now_ms);
        if let Some(retry_after_ms) = pause_left_ms.filter(|left_ms| *left_ms > self.limits.patience_ms) {
            return Err(Refused::Paused { retry_after_ms });
        }
        let of_devices = writes.iter().all(|write| matches!(write, Write::Device { .. }));
        let places = self.limits.waiting_max.max(1);
        let (of_all, of_one) = if of_devices {
            (places, places)
        } else {
            (places - places / 8, places.div_ceil(2))
        };
        let held = self.held.get(device).copied().unwrap_or(0);
        let fits =
            self.total.saturating_add(writes.len()) <= of_all && held.saturating_add(writes.len()) <= of_one;
        fits.then_some(()).ok_or(Refused::Full)
    }

    fn take(&mut self, device: &DeviceName, write: Write, ticket: T) {
        *self.held.entry(device.clone()).or_default() += 1;
        self.total += 1;
        let arrival = self.arrivals;
        self.arrivals += 1;
        let key = write.key();
        let object = self.objects.entry(key.clone()).or_insert_with(Object::new);
        let has_turn = object.waiting.iter().any(|entry| entry.device == *device);
        if object.sent.is_none() && !has_turn {
            self.turns.add(device, arrival, key);
        }
        object.waiting.push(Entry {
            arrival,
            device: device.clone(),
            write,
            ticket,
        });
    }

    /// What to do now. `current`: the newest version of an object that the caller knows, `None` if it is gone.
    /// `wanted`: whether anybody still waits for a ticket; if not, it is dropped.
    pub fn next(
        &mut self,
        now_ms: MonotonicMs,
        mut current: impl FnMut(&ObjectKey) -> Option<Current>,
        wanted: impl Fn(&T) -> bool,
    ) -> Next<T> {
        while let Some((device, key)) = self.turns.first() {
            if !self.window.has_room(self.in_flight) {
                return Next::Wait(None);
            }
            if let Some(at_ms) = self.rate.next_at_ms(now_ms) {
                return Next::Wait(Some(at_ms));
            }
            let Some(mut object) = self.objects.remove(&key) else {
                return Next::Wait(None);
            };
            let had_turns = object.turns();
            self.forget_unwanted(&mut object, &wanted);
            let current = current(&key);
            let (answers, request) = self.settle(&key, &mut object, current.as_ref());
            self.put_back(key, object, &had_turns);
            if let Some(request) = request {
                self.rate.take();
                self.in_flight += 1;
                self.turns.pass(&device);
                return Next::Send(request);
            }
            if !answers.is_empty() {
                return Next::Answers(answers);
            }
        }
        Next::Wait(None)
    }

    /// A request has come to its end: whom to tell.
    pub fn done(&mut self, key: &ObjectKey, result: SendResult, now_ms: MonotonicMs) -> Vec<Answer<T>> {
        let Some(mut object) = self.objects.remove(key) else {
            return Vec::new();
        };
        let Some(sent) = object.sent.take() else {
            self.objects.insert(key.clone(), object);
            return Vec::new();
        };
        self.in_flight = self.in_flight.saturating_sub(1);
        object.outdated = (result == SendResult::Conflict).then_some(sent.expected);
        let outcome = match result {
            SendResult::Written(version) => {
                self.window.answered();
                Ok(WriteOutcome::Written(version))
            }
            SendResult::Conflict => Ok(WriteOutcome::Conflict),
            SendResult::Gone => Ok(WriteOutcome::Gone),
            SendResult::Unavailable { retry_after_ms } => Err(Unavailable { retry_after_ms }),
            SendResult::TooManyRequests { retry_after_ms } => {
                let pause_ms = self.pause(retry_after_ms, now_ms);
                // What it carried is first in line again, before what came meanwhile.
                object.waiting.splice(..0, sent.entries);
                self.put_back(key.clone(), object, &[]);
                if pause_ms <= self.limits.patience_ms {
                    return Vec::new();
                }
                let retry_after_ms = Some(pause_ms);
                let waiting = self.give_up_waiting();
                return self.answers(waiting, &Err(Unavailable { retry_after_ms }));
            }
        };
        self.put_back(key.clone(), object, &[]);
        self.answers(sent.entries, &outcome)
    }

    /// The API server has too much to do: how long it is left alone. Several answers to one burst halve the window once.
    fn pause(&mut self, retry_after_ms: Option<u64>, now_ms: MonotonicMs) -> u64 {
        if self.rate.pause_left_ms(now_ms).is_none() {
            self.window.too_many();
        }
        self.rate.pause(retry_after_ms, now_ms)
    }

    fn answers(
        &mut self,
        entries: Vec<Entry<T>>,
        outcome: &Result<WriteOutcome, Unavailable>,
    ) -> Vec<Answer<T>> {
        let answer = |entry: Entry<T>| {
            self.release(&entry.device);
            Answer {
                ticket: entry.ticket,
                outcome: outcome.clone(),
            }
        };
        entries.into_iter().map(answer).collect()
    }

    /// Lets go of writes whose tickets nobody waits for.
    fn forget_unwanted(&mut self, object: &mut Object<T>, wanted: impl Fn(&T) -> bool) {
        let (wanted, unwanted): (Vec<_>, Vec<_>) = std::mem::take(&mut object.waiting)
            .into_iter()
            .partition(|entry| wanted(&entry.ticket));
        object.waiting = wanted;
        for entry in unwanted {
            self.release(&entry.device);
        }
    }

    /// What is known without a request is answered first, and nothing sent; then what is left makes a request.
    fn settle(
        &mut self,
        key: &ObjectKey,
        object: &mut Object<T>,
        current: Option<&Current>,
    ) -> (Vec<Answer<T>>, Option<Request>) {
        let waiting: Vec<_> = object
            .waiting
            .iter()
            .map(|entry| (&entry.device, &entry.write))
            .collect();
        let (fates, change) = fold(current, object.outdated.as_ref(), &waiting);
        let is_answered = |fate: &Fate| matches!(fate, Fate::Answered(_));
        if fates.iter().any(is_answered) {
            return (self.answer(object, fates), None);
        }
        let request = current.zip(change).map(|(current, change)| {
            let is_sent = |fate: &&Fate| matches!(fate, Fate::Sent { .. });
            let is_carried = |fate: &&Fate| matches!(fate, Fate::Sent { carried_over: true });
            Request {
                key: key.clone(),
                expected: current.version().clone(),
                change,
                writes: fates.iter().filter(is_sent).count(),
                carried_over: fates.iter().filter(is_carried).count(),
            }
        });
        if let Some(request) = &request {
            object.send(request.expected.clone(), &fates);
        }
        (Vec::new(), request)
    }

    /// Answers what needs no request; the rest stays.
    fn answer(&mut self, object: &mut Object<T>, fates: Vec<Fate>) -> Vec<Answer<T>> {
        let mut answers = Vec::new();
        let mut rest = Vec::new();
        for (entry, fate) in std::mem::take(&mut object.waiting).into_iter().zip(fates) {
            match fate {
                Fate::Answered(outcome) => {
                    self.release(&entry.device);
                    answers.push(Answer {
                        ticket: entry.ticket,
                        outcome: Ok(outcome),
                    });
                }
                Fate::Sent { .. } | Fate::Stays => rest.push(entry),
            }
        }
        object.waiting = rest;
        answers
    }

    /// Keeps an object's writes, and gives turns to those that need them now in place of those that did before.
    fn put_back(&mut self, key: ObjectKey, object: Object<T>, had: &[(DeviceName, Arrival)]) {
        let has = object.turns();
        for (device, arrival) in &has {
            self.turns.add(device, *arrival, key.clone());
        }
        for (device, arrival) in had.iter().filter(|turn| !has.contains(turn)) {
            self.turns.remove(device, *arrival);
        }
        if object.sent.is_some() || !object.waiting.is_empty() {
            self.objects.insert(key, object);
        }
    }

    /// Everything that waits and is not under way.
    fn give_up_waiting(&mut self) -> Vec<Entry<T>> {
        self.turns.clear();
        let waiting = self
            .objects
            .values_mut()
            .flat_map(|object| std::mem::take(&mut object.waiting))
            .collect();
        self.objects.retain(|_, object| object.sent.is_some());
        waiting
    }

    /// A write of the device has its answer.
    fn release(&mut self, device: &DeviceName) {
        self.total = self.total.saturating_sub(1);
        if let Some(held) = self.held.get_mut(device) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                self.held.remove(device);
            }
        }
    }
}

impl<T> Object<T> {
    fn new() -> Self {
        Self {
            waiting: Vec::new(),
            sent: None,
            outdated: None,
        }
    }

    /// The turns its writes need: one for each device, as its first write came; none while a request is under way.
    fn turns(&self) -> Vec<(DeviceName, Arrival)> {
        let mut turns: Vec<(DeviceName, Arrival)> = Vec::new();
        if self.sent.is_some() {
            return turns;
        }
        for entry in &self.waiting {
            if turns.iter().all(|(device, _)| *device != entry.device) {
                turns.push((entry.device.clone(), entry.arrival));
            }
        }
        turns
    }

    /// The writes with this fate go with a request.
    fn send(&mut self, expected: ResourceVersion, fates: &[Fate]) {
        let mut entries = Vec::new();
        let mut rest = Vec::new();
        for (entry, fate) in std::mem::take(&mut self.waiting).into_iter().zip(fates) {
            match fate {
                Fate::Sent { .. } => entries.push(entry),
                Fate::Answered(_) | Fate::Stays => rest.push(entry),
            }
        }
        self.waiting = rest;
        self.sent = Some(Sent { expected, entries });
    }
}
