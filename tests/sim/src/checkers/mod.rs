//! Who watches: each checker holds some of the rules against the facts, and knows nothing of the world's code.

mod accounts;
mod bounds;
mod departures;
mod desired;
mod devices;
mod liveness;
mod repairs;
mod rest;
mod statuses;
mod verdicts;

use std::{collections::BTreeMap, fmt};

use apollo_gateway_core::policy::Policy;
use apollo_twins::{queue::Queue, store::Store};
use apollo_wire::{DeviceName, Observation, ProcessRef, ProcessState};

use crate::{
    facts::{MachineId, TimedFact, Token},
    plan::{Millis, Sizes},
};

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub rule: &'static str,
    /// When it was seen.
    pub at_ms: Millis,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} ms: {}", self.rule, self.at_ms, self.what)
    }
}

/// What a checker says of a fact.
pub(crate) type Verdict = Result<(), Violation>;

/// Breaks `rule`.
pub(crate) fn broken(rule: &'static str, at_ms: Millis, what: impl Into<String>) -> Verdict {
    Err(Violation {
        rule,
        at_ms,
        what: what.into(),
    })
}

/// Breaks `rule` unless it holds.
pub(crate) fn hold(holds: bool, rule: &'static str, at_ms: Millis, what: impl FnOnce() -> String) -> Verdict {
    if holds {
        Ok(())
    } else {
        broken(rule, at_ms, what())
    }
}

/// A machine at the end.
#[derive(Debug, Clone)]
pub struct MachineEnd {
    /// Which.
    pub id: MachineId,
    /// The device its certificate names.
    pub device: DeviceName,
    /// Its disk.
    pub queue: Queue,
    /// Switched off for good.
    pub is_gone: bool,
    /// An agent runs.
    pub is_running: bool,
    /// What its supervisor sees.
    pub processes: BTreeMap<ProcessRef, Option<ProcessState>>,
}

/// Everything at the end, long after all has become quiet.
pub struct End<'a> {
    /// The end.
    pub at_ms: Millis,
    /// When all became quiet.
    pub quiet_at_ms: Millis,
    /// The gateways' numbers.
    pub policy: Policy,
    /// How long an agent is silent when nothing waits.
    pub heartbeat_ms: Millis,
    /// The store.
    pub store: &'a Store,
    /// The machines.
    pub machines: &'a [MachineEnd],
    /// Every observation as it was made.
    pub originals: &'a BTreeMap<Token, Observation>,
}

/// One checker.
trait Checker {
    /// Takes in a fact.
    fn on_fact(&mut self, _fact: &TimedFact) -> Verdict {
        Ok(())
    }

    /// Looks at the end.
    fn at_end(&mut self, _end: &End<'_>) -> Verdict {
        Ok(())
    }
}

/// All of them.
pub struct Checkers {
    all: Vec<Box<dyn Checker>>,
}

impl Checkers {
    /// For a world of these sizes.
    pub fn new(sizes: &Sizes) -> Self {
        Self {
            all: vec![
                Box::new(departures::Departures::default()),
                Box::new(verdicts::Verdicts::default()),
                Box::new(statuses::Statuses::default()),
                Box::new(devices::Devices),
                Box::new(bounds::Bounds::of(sizes)),
                Box::new(repairs::Repairs::default()),
                Box::new(rest::Rest::default()),
                Box::new(accounts::Accounts::default()),
                Box::new(liveness::Liveness),
                Box::new(desired::Desired),
            ],
        }
    }

    /// Tells all of a fact.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn on_fact(&mut self, fact: &TimedFact) -> Verdict {
        self.all.iter_mut().try_for_each(|checker| checker.on_fact(fact))
    }

    /// Has all look at the end.
    ///
    /// # Errors
    /// The first rule that is broken then.
    pub fn at_end(&mut self, end: &End<'_>) -> Verdict {
        self.all.iter_mut().try_for_each(|checker| checker.at_end(end))
    }
}
