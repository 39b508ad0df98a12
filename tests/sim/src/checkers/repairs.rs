//! marking and repairing a device is tried again after a while, not at once, however far the watch lags behind.
//! a repair is sent for the version it was computed from.

use std::collections::{BTreeMap, VecDeque};

use apollo_wire::DeviceName;

use super::{Checker, Verdict, hold};
use crate::{
    facts::{Fact, ReplicaId, TimedFact},
    plan::Millis,
};

/// How far back attempts are counted.
const WINDOW_MS: Millis = 10_000;
/// How far back a change may have been made that a lagging watch tells of now: a minute, and the window.
const CHANGES_MS: Millis = 70_000;
/// Attempts in a window that need no change: one each `repair_after`, and all that a new watch tells of.
const ALWAYS: usize = 15;

/// What happened lately.
#[derive(Default)]
pub(super) struct Repairs {
    begun: BTreeMap<(ReplicaId, DeviceName), VecDeque<Millis>>,
    changes: VecDeque<Millis>,
}

impl Checker for Repairs {
    fn on_fact(&mut self, fact: &TimedFact) -> Verdict {
        match &fact.fact {
            Fact::ProcessChanged { .. } | Fact::DeviceChanged { .. } => {
                keep_since(&mut self.changes, fact.at_ms.saturating_sub(CHANGES_MS));
                self.changes.push_back(fact.at_ms);
                Ok(())
            }
            Fact::RepairBegun { replica, device } => {
                let begun = self.begun.entry((*replica, device.clone())).or_default();
                keep_since(begun, fact.at_ms.saturating_sub(WINDOW_MS));
                begun.push_back(fact.at_ms);
                keep_since(&mut self.changes, fact.at_ms.saturating_sub(CHANGES_MS));
                let fits = begun.len() <= ALWAYS + self.changes.len();
                hold(fits, "R-12", fact.at_ms, || {
                    let (count, changes) = (begun.len(), self.changes.len());
                    format!(
                        "gateway {replica} tried {count} times in 10 s to mark or repair {device}, after {changes} changes"
                    )
                })
            }
            Fact::RepairSent {
                process,
                read,
                sent_for,
            } => hold(read == sent_for, "R-05", fact.at_ms, || {
                format!("a repair of {process} computed from {read:?} was sent for {sent_for:?}")
            }),
            _ => Ok(()),
        }
    }
}

fn keep_since(times: &mut VecDeque<Millis>, since: Millis) {
    while times.front().is_some_and(|at| *at < since) {
        times.pop_front();
    }
}
