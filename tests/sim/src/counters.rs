//! How often what was met: a simulation that never meets a conflict proves nothing about conflicts.

use std::collections::BTreeMap;

/// Everything that a thousand histories are expected to meet at least once each.
pub const EXPECTED: &[&str] = &[
    "action: apply",
    "action: clone",
    "action: cut power",
    "action: damage row",
    "action: delete",
    "action: delete device",
    "action: end watch",
    "action: foreign write",
    "action: kill agent",
    "action: kill gateway",
    "action: observe",
    "action: purge",
    "action: requeue",
    "action: roll back",
    "action: set device",
    "action: skew gateway",
    "action: step clock",
    "action: stop agent",
    "action: switch off",
    "agent: append refused by a full disk",
    "agent: batch halved after 413",
    "agent: clock unsynced",
    "agent: desired state stored",
    "agent: exchange over a kept connection",
    "agent: exchange without an answer",
    "agent: instance renewed",
    "agent: killed within a transaction, before the commit",
    "agent: killed within a transaction, after the commit",
    "agent: left-over run stopped",
    "agent: rows dropped for want of room",
    "agent: settle refused by a full disk",
    "agent: stopped in good order",
    "gateway: 304",
    "gateway: 403",
    "gateway: 413",
    "gateway: 503",
    "gateway: compare-and-swap lost",
    "gateway: device registered",
    "gateway: device marked Blocked",
    "gateway: device marked Lost",
    "gateway: device marked Sleeping",
    "gateway: duplicate refused",
    "gateway: exchange timed out",
    "gateway: gap taken into history",
    "gateway: killed within an exchange",
    "gateway: orphan kept",
    "gateway: process of another device refused",
    "gateway: rolled-back device met",
    "gateway: time refused",
    "gateway: write carried over to a newer version",
    "gateway: write known to be in vain",
    "gateway: write queue full",
    "gateway: write refused during a pause",
    "gateway: writes folded",
    "gateway: writes paused by 429",
    "network: connection reset",
    "network: message lost for good",
    "network: message sent again",
    "network: report duplicated",
    "run: crash loop",
    "run: exited",
    "run: killed",
    "run: spawn failed",
    "store: conflict with another writer",
    "store: reply lost",
    "store: slow",
    "store: too many requests",
    "store: unavailable",
];

/// Counts by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    counts: BTreeMap<&'static str, u64>,
}

impl Counters {
    /// Adds to one.
    pub fn add(&mut self, what: &'static str, count: u64) {
        *self.counts.entry(what).or_default() += count;
    }

    /// Adds all of another's.
    pub fn merge(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            self.add(what, *count);
        }
    }

    /// One count.
    pub fn get(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counts.iter().map(|(what, count)| (*what, *count))
    }

    /// What was expected and never met.
    pub fn never_met(&self) -> Vec<&'static str> {
        EXPECTED
            .iter()
            .copied()
            .filter(|what| self.get(what) == 0)
            .collect()
    }
}
