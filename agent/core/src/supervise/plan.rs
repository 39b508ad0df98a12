//! From a desired document to stops and starts: removals first, then changes, then additions.

use std::{cmp::Ordering, collections::BTreeMap};

use apollo_wire::ProcessRef;

use super::{
    DesiredItem, Effect, Observed, Reason, StopGoal, Supervisor, entry::Entry, observed::cut_message,
};
use crate::time::Monotonic;

impl Supervisor {
    /// Takes a document. The newest one alone counts: whatever an older one asked for and that is not yet done, is
    /// dropped or turned around.
    pub(super) fn adopt(&mut self, mut items: Vec<DesiredItem>, now: Monotonic) {
        if self.shutting_down {
            return;
        }
        let left_out = items.len().saturating_sub(self.limits.processes);
        if left_out > 0 {
            items.truncate(self.limits.processes);
            self.effects.push_back(Effect::LeftOut(left_out));
        }
        // A process named twice counts as named once, first come: two runs of it are never what anybody wants.
        let mut wanted = BTreeMap::new();
        for item in items {
            wanted.entry(item.process.clone()).or_insert(item);
        }
        self.remove_all_but(&wanted, now);
        let (known, new): (Vec<_>, Vec<_>) = wanted
            .into_values()
            .partition(|item| self.processes.contains_key(&item.process));
        for item in known {
            self.compare(item, now);
        }
        for item in new {
            self.add(item, now);
        }
    }

    fn remove_all_but(&mut self, wanted: &BTreeMap<ProcessRef, DesiredItem>, now: Monotonic) {
        let gone: Vec<ProcessRef> = self
            .processes
            .keys()
            .filter(|process| !wanted.contains_key(process))
            .cloned()
            .collect();
        for process in gone {
            if let Some(entry) = self.processes.get_mut(&process) {
                entry.held = None;
            }
            self.halt(&process, StopGoal::Remove, now);
        }
    }

    /// Takes, ignores or holds an item about a process already known.
    fn compare(&mut self, item: DesiredItem, now: Monotonic) {
        let Some(entry) = self.processes.get_mut(&item.process) else {
            return;
        };
        // It was seen to be gone, so this is another object of the same name: its generations start anew.
        let made_anew = entry.state.goal() == Some(StopGoal::Remove);
        let same_spec = entry.item.spec_hash == item.spec_hash;
        match item.generation.cmp(&entry.item.generation) {
            _ if made_anew => self.take(item, now),
            Ordering::Greater => self.take(item, now),
            Ordering::Equal if same_spec => entry.held = None,
            Ordering::Equal => self.hold(item, Reason::GenerationConflict, now),
            Ordering::Less => self.hold(item, Reason::StaleGeneration, now),
        }
    }

    /// Makes an item the wanted one. A newer generation of the very spec that runs changes nothing that runs.
    pub(super) fn take(&mut self, item: DesiredItem, now: Monotonic) {
        let Some(entry) = self.processes.get_mut(&item.process) else {
            return;
        };
        let process = item.process.clone();
        let unchanged =
            entry.item.spec_hash == item.spec_hash && entry.state.goal() != Some(StopGoal::Remove);
        entry.want(item);
        let goal = entry.goal();
        if !unchanged {
            self.halt(&process, goal, now);
        }
    }

    /// Keeps what runs, says so once, and believes the item only if no document contradicts it for a while.
    fn hold(&mut self, item: DesiredItem, reason: Reason, now: Monotonic) {
        let until = now.plus(self.limits.stale_generation_hold);
        let Some(entry) = self.processes.get_mut(&item.process) else {
            return;
        };
        let known = entry.item.generation;
        if let Some((held, _)) = &entry.held
            && (held.generation, held.spec_hash) == (item.generation, item.spec_hash)
        {
            return;
        }
        let message = match reason {
            Reason::StaleGeneration => format!("generation {} after {known}", item.generation),
            _ => format!("another spec for generation {known}"),
        };
        let observed = Observed {
            spec_hash: Some(item.spec_hash),
            message: cut_message(message),
            ..entry.observed(&item.process, None, None, reason)
        };
        entry.held = Some((item, until));
        self.effects.push_back(Effect::Observe(observed));
    }

    /// A process not known so far.
    fn add(&mut self, item: DesiredItem, now: Monotonic) {
        let process = item.process.clone();
        let entry = Entry::new(item, &self.limits);
        let goal = entry.goal();
        self.processes.insert(process.clone(), entry);
        if goal != StopGoal::Replace {
            self.halt(&process, goal, now);
        }
    }
}
