//! What a replica may write.

use apollo_gateway_core::{
    object::{DeviceStatus, ProcessObject},
    store::{StoreReply, StoreRequest, WriteOutcome},
};
use apollo_twins::store::Store as Contents;
use apollo_wire::{DeviceName, Epoch};

use super::Rule;
use crate::{
    cast,
    met::Met,
    scope::Scope,
    shared::Shared,
    world::{World, replica::Serving, store::Store},
};

/// Looks at one write: what it was asked to do, what it did, what was answered.
pub fn after_write(
    scope: &Scope,
    world: &mut World,
    before: &Shared<Store>,
    serving: &mut Serving,
    request: &StoreRequest,
    reply: &StoreReply,
) {
    let device = cast::device(scope.agents[serving.from].device);
    let after = world.store.clone();
    let (before, after) = (before.contents(), after.contents());
    let broken = &mut world.ledger.broken;
    broken.unless(history_only_grows(before, after), Rule::HistoryChanged);
    for now in after.objects.processes() {
        let Some(then) = before.objects.process(&now.object.process) else {
            continue;
        };
        let (then, now) = (&then.object, &now.object);
        broken.unless(!went_back(then, now), Rule::StatusWentBack);
        if then.status.sync != now.status.sync {
            let by_owner = now.status.observed_device.as_ref() == Some(&now.device) && now.device == device;
            broken.unless(by_owner, Rule::BoundElsewhere);
            broken.unless(has_said(after, now), Rule::StatusWithoutHistory);
        }
    }
    broken.unless(!writes_nothing(before, after, request, reply), Rule::EmptyWrite);
    let stays = scope.budget.lags == 0 && !serving.rebound;
    broken.unless(!stays || bound(before, after, &device), Rule::BoundElsewhere);
    broken.unless(epochs_grow(before, after, &device), Rule::EpochReused);
    note(world, before, after, serving, request, reply);
}

/// rows stay as they were first written.
fn history_only_grows(before: &Contents, after: &Contents) -> bool {
    before.history.rows().all(|(device, instance, entry)| {
        after.history.row(device, instance, entry.row.observation.seq) == Some(entry)
    })
}

/// for one device a status only moves up.
fn went_back(then: &ProcessObject, now: &ProcessObject) -> bool {
    then.status.observed_device == now.status.observed_device && now.status.sync < then.status.sync
}

/// what a status says, history says under the same position.
fn has_said(contents: &Contents, object: &ProcessObject) -> bool {
    let status = &object.status;
    let Some(sync) = status.sync else { return false };
    contents.history.rows().any(|(device, instance, entry)| {
        let observation = &entry.row.observation;
        Some(device) == status.observed_device.as_ref()
            && contents.history.epoch(device, instance) == Some(sync.epoch)
            && observation.seq == sync.sequence
            && observation.process == object.process
            && observation.pid == status.pid
            && observation.state == status.state
    })
}

/// a write was taken, and everything is as before.
fn writes_nothing(before: &Contents, after: &Contents, request: &StoreRequest, reply: &StoreReply) -> bool {
    let written = |outcome: &WriteOutcome| matches!(outcome, WriteOutcome::Written(_));
    match (request, reply) {
        (StoreRequest::ReplaceDeviceStatus { device, .. }, StoreReply::Written(outcome)) => {
            let object = |contents: &Contents| {
                let found = contents.objects.device(device);
                found.map(|found| found.object.clone())
            };
            written(outcome) && object(before) == object(after)
        }
        (StoreRequest::ReplaceProcessStatuses { writes, .. }, StoreReply::StatusesWritten(outcomes)) => {
            writes.iter().zip(outcomes).any(|(write, outcome)| {
                let object = |contents: &Contents| {
                    let found = contents.objects.process(&write.process);
                    found.map(|found| found.object.clone())
                };
                written(outcome) && object(before) == object(after)
            })
        }
        _ => false,
    }
}

/// new rows are about processes of this device, or of nobody.
fn bound(before: &Contents, after: &Contents, device: &DeviceName) -> bool {
    after.history.rows().all(|(of, instance, entry)| {
        let observation = &entry.row.observation;
        let is_new = before.history.row(of, instance, observation.seq).is_none();
        let owner = after.objects.process(&observation.process);
        !is_new || of == device && owner.is_none_or(|owner| owner.object.device == *device)
    })
}

/// Epochs stay with their instances, and a new one is above every other that the device's list or its processes carry.
fn epochs_grow(before: &Contents, after: &Contents, device: &DeviceName) -> bool {
    let status = |contents: &Contents| -> DeviceStatus {
        let found = contents.objects.device(device);
        found.map(|found| found.object.status.clone()).unwrap_or_default()
    };
    let (then, now) = (status(before), status(after));
    let carried = before.objects.processes().filter(|process| {
        let status = &process.object.status;
        status.observed_device.as_ref() == Some(device) && process.object.device == *device
    });
    let carried = carried.filter_map(|process| process.object.status.sync.map(|sync| sync.epoch));
    let highest: Epoch = then
        .instances
        .iter()
        .map(|entry| entry.epoch)
        .chain(carried)
        .max()
        .unwrap_or(0);
    let sorted = now.instances.windows(2).all(|pair| pair[0].epoch < pair[1].epoch);
    let kept = now.instances.iter().all(|entry| {
        let known = then.instances.iter().find(|known| known.id == entry.id);
        known.map_or(entry.epoch > highest, |known| known.epoch == entry.epoch)
    });
    sorted && kept
}

fn note(
    world: &mut World,
    before: &Contents,
    after: &Contents,
    serving: &mut Serving,
    request: &StoreRequest,
    reply: &StoreReply,
) {
    let met = &mut world.met;
    match reply {
        StoreReply::StatusesWritten(outcomes) if outcomes.contains(&WriteOutcome::Conflict) => {
            serving.lost_swap = true;
            met.add(Met::StatusConflict);
            met.add_if(serving.rebound, Met::BoundAwayInWork);
        }
        StoreReply::Written(WriteOutcome::Conflict) => {
            serving.lost_swap = true;
            met.add(Met::DeviceConflict);
            met.add_if(claims(after, serving, request), Met::EpochContended);
        }
        StoreReply::HistoryDiverged { .. } => met.add(Met::Diverged),
        _ => {}
    }
    met.add_if(
        after.history.gaps().count() > before.history.gaps().count(),
        Met::GapDelivered,
    );
    if let (StoreRequest::CreateDevice { .. }, StoreReply::Written(WriteOutcome::Written(_))) =
        (request, reply)
    {
        met.add_if(after.history.rows().count() > 0, Met::RegisteredAgain);
    }
}

/// Whether the write that lost would have given the report's instance an epoch.
fn claims(after: &Contents, serving: &Serving, request: &StoreRequest) -> bool {
    let (StoreRequest::CreateDevice { device, status }
    | StoreRequest::ReplaceDeviceStatus { device, status, .. }) = request
    else {
        return false;
    };
    let instance = serving.report.instance;
    let wants = status.instances.iter().any(|entry| entry.id == instance);
    let found = after.objects.device(device);
    let fresh = status.instances.len() == 1
        || found.is_some_and(|found| {
            let listed = &found.object.status.instances;
            listed.len() >= status.instances.len()
                && !listed[..status.instances.len() - 1]
                    .iter()
                    .any(|entry| entry.id == instance)
        });
    wants && fresh
}
