//! What a replica may answer.

use apollo_gateway_core::{
    epoch,
    exchange::{Concluded, Outcome, Refusal},
    object::SyncPoint,
};
use apollo_wire::{DeviceName, Observation, Verdicts};

use super::Rule;
use crate::{
    cast,
    met::Met,
    scope::Scope,
    world::{World, agent::names, replica::Serving},
};

/// Looks at the end of an exchange, at the moment it is known.
pub fn at_the_end(scope: &Scope, world: &mut World, serving: &Serving, concluded: &Concluded) {
    let device = cast::device(scope.agents[serving.from].device);
    match &concluded.outcome {
        Outcome::Settled { verdicts, forbidden } => {
            let deleted = world.left.deletions < scope.budget.deletions;
            settled(world, &device, serving, verdicts, deleted);
            note(world, &device, serving, concluded, verdicts);
            world.met.add_if(*forbidden, Met::Forbidden);
        }
        Outcome::Refused(refusal) => world.met.add_if(*refusal == Refusal::Blocked, Met::Blocked),
        Outcome::Busy { .. } => {
            world.met.add_if(!serving.wrote, Met::Busy);
            world.met.add_if(serving.wrote, Met::BusyAfterCommit);
        }
    }
}

fn settled(world: &mut World, device: &DeviceName, serving: &Serving, verdicts: &Verdicts, deleted: bool) {
    let mut broken = world.ledger.broken;
    let report = &serving.report;
    let acked = |observation: &&Observation| is_acked(verdicts, observation);
    let committed = report
        .observations
        .iter()
        .filter(acked)
        .all(|observation| is_committed(world, device, serving, verdicts, observation));
    broken.unless(committed, Rule::EarlyVerdict);
    let named = report
        .observations
        .iter()
        .filter(|observation| names(verdicts, observation.seq))
        .count();
    broken.unless(
        named == 0 || named == report.observations.len(),
        Rule::RowWithoutVerdict,
    );
    let history = &world.store.contents().history;
    let highest = history.highest(device, report.instance);
    broken.unless(verdicts.highest_sequence <= highest, Rule::HighestLeads);
    let listed = world.store.contents().objects.device(device);
    let listed = listed.and_then(|found| epoch::known(&found.object.status, report.instance));
    let agrees = |other: u32| other == verdicts.epoch;
    // After a Device was deleted its instances get new epochs; history keeps the old ones.
    let agreed = listed.map(|entry| entry.epoch).is_none_or(agrees)
        && (deleted || history.epoch(device, report.instance).is_none_or(agrees));
    broken.unless(agreed, Rule::EpochDisagrees);
    broken.unless(!serving.blocked, Rule::BlockedSettled);
    world.ledger.broken = broken;
}

fn is_acked(verdicts: &Verdicts, observation: &Observation) -> bool {
    verdicts.acked.iter().any(|range| range.contains(observation.seq))
}

/// history has this very observation, and its process's status is at least as late. The status of a process that was
/// bound elsewhere meanwhile is left alone, and so is every status by an instance that was forgotten.
fn is_committed(
    world: &World,
    device: &DeviceName,
    serving: &Serving,
    verdicts: &Verdicts,
    observation: &Observation,
) -> bool {
    let contents = world.store.contents();
    let row = contents
        .history
        .row(device, serving.report.instance, observation.seq);
    let in_history = row.is_some_and(|entry| entry.row.observation.pid == observation.pid);
    let sync = SyncPoint {
        epoch: verdicts.epoch,
        sequence: observation.seq,
    };
    let exempt = serving.rebound || verdicts.epoch == epoch::FORGOTTEN;
    let process = contents.objects.process(&observation.process);
    let in_status = process
        .is_none_or(|process| process.object.device != *device || process.object.status.sync >= Some(sync));
    in_history && (exempt || in_status)
}

fn note(
    world: &mut World,
    device: &DeviceName,
    serving: &Serving,
    concluded: &Concluded,
    verdicts: &Verdicts,
) {
    let store = world.store.clone();
    let (contents, met) = (store.contents(), &mut world.met);
    let report = &serving.report;
    let has_rows = !report.observations.is_empty();
    let settles = has_rows && !verdicts.acked.is_empty();
    met.add_if(serving.lost_swap && settles, Met::ConflictResolved);
    met.add_if(verdicts.duplicates > 0, Met::Duplicate);
    met.add_if(verdicts.orphaned > 0, Met::Orphaned);
    met.add_if(settles && !verdicts.rejected.is_empty(), Met::RefusedAmongSettled);
    met.add_if(settles && !serving.awaited, Met::TakenLate);
    met.add_if(settles && verdicts.epoch == epoch::FORGOTTEN, Met::Forgotten);
    let refused = concluded.effects.rolled_back;
    let before = report.offered_through.unwrap_or(0);
    met.add_if(refused && verdicts.highest_sequence > before, Met::Forgetful);
    let again = report
        .observations
        .last()
        .is_some_and(|last| report.offered_through >= Some(last.seq));
    met.add_if(settles && again && serving.awaited, Met::ResentSettled);
    let overtaken = report.observations.iter().any(|observation| {
        let status = contents.objects.process(&observation.process);
        let sync = status.and_then(|found| found.object.status.sync);
        verdicts.accepted > 0
            && sync.is_some_and(|sync| (sync.epoch, sync.sequence) > (verdicts.epoch, observation.seq))
    });
    met.add_if(overtaken, Met::JoinLost);
    let bound_elsewhere = report.observations.iter().any(|observation| {
        let process = contents.objects.process(&observation.process);
        is_acked(verdicts, observation) && process.is_some_and(|process| process.object.device != *device)
    });
    met.add_if(
        bound_elsewhere && verdicts.duplicates > 0 && !serving.rebound,
        Met::SettledBefore,
    );
    met.add_if(!has_rows && !serving.wrote, Met::HeartbeatForNothing);
}
