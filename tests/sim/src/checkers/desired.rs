//! Desired state in the end: every agent has stored and runs what the store says, and nothing else.

use std::collections::BTreeMap;

use apollo_gateway_core::object::DesiredPhase;
use apollo_wire::{ProcessRef, ProcessState, SpecHash};

use super::{Checker, End, MachineEnd, Verdict, hold};

/// Looks at the end alone.
pub(super) struct Desired;

impl Checker for Desired {
    fn at_end(&mut self, end: &End<'_>) -> Verdict {
        for machine in end.machines.iter().filter(|machine| machine.is_running) {
            is_as_desired(end, machine)?;
        }
        Ok(())
    }
}

fn is_as_desired(end: &End<'_>, machine: &MachineEnd) -> Verdict {
    let objects = end.store.objects.processes().map(|read| &read.object);
    let bound: Vec<_> = objects.filter(|object| object.device == machine.device).collect();
    let desired: BTreeMap<ProcessRef, (i64, SpecHash)> = bound
        .iter()
        .map(|object| {
            let names = (object.generation, object.spec.hash());
            (object.process.clone(), names)
        })
        .collect();
    let document = machine.queue.desired().map(|stored| &stored.document.processes);
    let stored: BTreeMap<ProcessRef, (i64, SpecHash)> = document
        .into_iter()
        .flatten()
        .filter_map(|item| Some((item.process().ok()?, (item.generation, item.spec_hash))))
        .collect();
    let id = machine.id;
    hold(desired == stored, "Q-10", end.at_ms, || {
        format!("machine {id} has stored {stored:?}, and the store says {desired:?}")
    })?;
    let names = |processes: Vec<&ProcessRef>| -> Vec<String> {
        processes.into_iter().map(ToString::to_string).collect()
    };
    let runs = names(machine.processes.keys().collect());
    let wanted = names(desired.keys().collect());
    hold(runs == wanted, "Q-10", end.at_ms, || {
        format!("machine {id} supervises {runs:?}, and should {wanted:?}")
    })?;
    for object in bound
        .iter()
        .filter(|object| object.wants == DesiredPhase::Stopped)
    {
        let state = machine.processes.get(&object.process);
        hold(
            state == Some(&Some(ProcessState::Stopped)),
            "Q-10",
            end.at_ms,
            || format!("machine {id}: {} is suspended and {state:?}", object.process),
        )?;
    }
    Ok(())
}
