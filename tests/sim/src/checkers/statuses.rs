//! for DeviceProcesses: a status is the greatest observation, grows only, belongs to its device, and leaves
//! everybody else's fields alone.

use std::collections::BTreeMap;

use apollo_gateway_core::object::{Condition, ProcessObject, ProcessStatus, SyncPoint};
use apollo_wire::{DeviceName, ProcessRef, ProcessState};

use super::{Checker, End, Verdict, broken, hold};
use crate::{
    facts::{Fact, TimedFact, Writer},
    plan::Millis,
};

/// What the rows at each position say of one process.
type Said = BTreeMap<SyncPoint, Vec<Option<ProcessState>>>;

/// Every position that history was given, with what it says of which process.
#[derive(Default)]
pub(super) struct Statuses {
    seen: BTreeMap<(ProcessRef, DeviceName), Said>,
}

impl Checker for Statuses {
    fn on_fact(&mut self, fact: &TimedFact) -> Verdict {
        match &fact.fact {
            Fact::Appended {
                device, epoch, rows, ..
            } => {
                for row in rows {
                    let at = SyncPoint {
                        epoch: *epoch,
                        sequence: row.sequence,
                    };
                    let of = (row.process.clone(), device.clone());
                    let said = self.seen.entry(of).or_default().entry(at).or_default();
                    said.push(row.state);
                }
                Ok(())
            }
            Fact::ProcessChanged {
                by: Writer::Exchange(_, device) | Writer::Reconcile(_, device),
                before,
                after,
            } => match (before, after) {
                (Some(before), Some(after)) => self.on_write(fact.at_ms, device, before, after),
                _ => broken("R-05", fact.at_ms, "a gateway created or deleted a DeviceProcess"),
            },
            _ => Ok(()),
        }
    }

    /// The ten-line reference: what a status may say at most is the maximum of what history was given for it.
    fn at_end(&mut self, end: &End<'_>) -> Verdict {
        for read in end.store.objects.processes() {
            let object = &read.object;
            let (Some(sync), Some(device)) = (object.status.sync, &object.status.observed_device) else {
                continue;
            };
            let seen = self.seen.get(&(object.process.clone(), device.clone()));
            let greatest = seen.and_then(|seen| {
                let tells = |said: &Vec<Option<ProcessState>>| said.iter().any(Option::is_some);
                seen.iter().rev().find(|(_, said)| tells(said)).map(|(at, _)| *at)
            });
            hold(Some(sync) <= greatest, "R-04", end.at_ms, || {
                format!(
                    "the status of {} is at {sync:?}, and history has nothing above {greatest:?}",
                    object.process
                )
            })?;
        }
        Ok(())
    }
}

impl Statuses {
    fn on_write(
        &self,
        at_ms: Millis,
        device: &DeviceName,
        before: &ProcessObject,
        after: &ProcessObject,
    ) -> Verdict {
        let process = &after.process;
        hold(before != after, "R-06", at_ms, || {
            format!("the status of {process} was written although nothing changed")
        })?;
        hold(before.device == *device, "R-07", at_ms, || {
            format!(
                "{device} changed the status of {process}, which is bound to {}",
                before.device
            )
        })?;
        let rest = |object: &ProcessObject| ProcessObject {
            status: ProcessStatus::default(),
            ..object.clone()
        };
        hold(rest(before) == rest(after), "R-05", at_ms, || {
            format!("more than the status of {process} was written")
        })?;
        hold(foreign(before) == foreign(after), "R-05", at_ms, || {
            format!("another writer's fields of {process} were changed")
        })?;
        self.sync_grows(at_ms, before, after)
    }

    fn sync_grows(&self, at_ms: Millis, before: &ProcessObject, after: &ProcessObject) -> Verdict {
        let (was, is) = (&before.status, &after.status);
        if was.sync == is.sync && was.observed_device == is.observed_device {
            hold(was.state == is.state && was.pid == is.pid, "R-04", at_ms, || {
                format!("the status of {} changed without an observation", after.process)
            })?;
            return Ok(());
        }
        let same_device = was.observed_device == is.observed_device;
        hold(!same_device || is.sync > was.sync, "R-05", at_ms, || {
            format!(
                "the status of {} went back from {:?} to {:?}",
                after.process, was.sync, is.sync
            )
        })?;
        let of = (after.process.clone(), after.device.clone());
        let said = is.sync.and_then(|at| self.seen.get(&of)?.get(&at));
        hold(
            said.is_some_and(|states| states.contains(&is.state)),
            "R-04",
            at_ms,
            || {
                format!(
                    "the status of {} is at {:?}, which history does not have",
                    after.process, is.sync
                )
            },
        )
    }
}

/// What is none of the gateway's.
fn foreign(object: &ProcessObject) -> (Vec<&Condition>, &serde_json::Map<String, serde_json::Value>) {
    let own = ["AgentConnected", "Ready"];
    let conditions = object.status.conditions.iter();
    (
        conditions
            .filter(|condition| !own.contains(&condition.kind.as_str()))
            .collect(),
        &object.status.foreign,
    )
}
