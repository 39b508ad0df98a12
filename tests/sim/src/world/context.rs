//! What every part of the world shares: the clock, what is to come, chance, what is wrong right now, and who watches.

use std::collections::BTreeMap;

use apollo_wire::Observation;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::event::{Event, WorkId};
use crate::{
    checkers::{Checkers, Violation},
    counters::Counters,
    facts::{Fact, TimedFact, Token},
    plan::{Disturbance, Millis},
};

/// One source of chance for each concern, so that a datagram more does not change what the disks do.
#[derive(Debug)]
pub struct Chance {
    /// Loss, delay, duplication.
    pub network: ChaCha8Rng,
    /// How long disks take.
    pub disk: ChaCha8Rng,
    /// How stores fail and how long they take.
    pub store: ChaCha8Rng,
    /// How runs end.
    pub runs: ChaCha8Rng,
    /// Jitter seeds and instance ids.
    pub seeds: ChaCha8Rng,
}

impl Chance {
    fn new(seed: u64) -> Self {
        let stream = |number| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            // Stream 0 made the plan.
            random.set_stream(number);
            random
        };
        Self {
            network: stream(1),
            disk: stream(2),
            store: stream(3),
            runs: stream(4),
            seeds: stream(5),
        }
    }
}

/// See the module's documentation.
pub struct Context {
    /// Now.
    pub now: Millis,
    /// Chance.
    pub chance: Chance,
    /// What is wrong now, by the position of the action that began it.
    pub disturbances: BTreeMap<usize, Disturbance>,
    /// What happened how often.
    pub counters: Counters,
    /// The first violation a checker found.
    pub violation: Option<Violation>,
    checkers: Checkers,
    events: BTreeMap<(Millis, u64), Event>,
    order: u64,
    tokens: Token,
    works: WorkId,
    originals: BTreeMap<Token, Observation>,
    trace: Option<Vec<String>>,
}

impl Context {
    /// The beginning of a world.
    pub fn new(seed: u64, checkers: Checkers, trace: bool) -> Self {
        Self {
            now: 0,
            chance: Chance::new(seed),
            disturbances: BTreeMap::new(),
            counters: Counters::default(),
            violation: None,
            checkers,
            events: BTreeMap::new(),
            order: 0,
            tokens: 0,
            works: 0,
            originals: BTreeMap::new(),
            trace: trace.then(Vec::new),
        }
    }

    /// Has something happen after a while.
    pub fn schedule(&mut self, after_ms: Millis, event: Event) {
        self.order += 1;
        self.events
            .insert((self.now.saturating_add(after_ms), self.order), event);
    }

    /// Moves the clock to the next event not later than `until`.
    pub fn next_event(&mut self, until: Millis) -> Option<Event> {
        let entry = self.events.first_entry()?;
        if entry.key().0 > until {
            return None;
        }
        self.now = entry.key().0;
        Some(entry.remove())
    }

    /// Tells the checkers.
    pub fn fact(&mut self, fact: Fact) {
        let fact = TimedFact {
            at_ms: self.now,
            fact,
        };
        if self.violation.is_none()
            && let Err(violation) = self.checkers.on_fact(&fact)
        {
            self.note(|| format!("VIOLATION of {violation}"));
            self.violation = Some(violation);
        }
    }

    /// Has the checkers look at the end.
    pub fn check_end(&mut self, end: &crate::checkers::End<'_>) {
        if self.violation.is_none()
            && let Err(violation) = self.checkers.at_end(end)
        {
            self.note(|| format!("VIOLATION of {violation}"));
            self.violation = Some(violation);
        }
    }

    /// Counts something that the simulation should meet now and then.
    pub fn count(&mut self, what: &'static str) {
        self.counters.add(what, 1);
    }

    /// Adds a line to the trace, if there is one.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let (seconds, millis) = (self.now / 1_000, self.now % 1_000);
            let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
            trace.push(format!(
                "{hours}:{minutes:02}:{:02}.{millis:03}  {}",
                seconds % 60,
                line()
            ));
        }
    }

    /// A token no observation has.
    pub fn next_token(&mut self) -> Token {
        self.tokens += 1;
        self.tokens
    }

    /// A number no work has.
    pub fn next_work(&mut self) -> WorkId {
        self.works += 1;
        self.works
    }

    /// Keeps an observation as it was made, for the checkers.
    pub fn remember(&mut self, token: Token, observation: &Observation) {
        self.originals.insert(token, observation.clone());
    }

    /// Everything kept, for the end.
    pub fn take_originals(&mut self) -> BTreeMap<Token, Observation> {
        std::mem::take(&mut self.originals)
    }

    /// The trace so far.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }
}
