//! What becomes of the writes that wait for one object, given its newest version.
//!
//! A write of a DeviceProcess is a join, so one computed from an older version can be computed again on a newer one,
//! just as its machine would after a conflict. That holds for what a **report** says: its observation takes part
//! in a maximum, and that the device called is true whoever wrote meanwhile. It does not hold for a **repair**:
//! it says the state of a Device as it was read, and whoever wrote the process since may have known a later one. So a
//! repair is sent at the version it was computed from or not at all, and not beside a write that knows another state.
//!
//! All that may be sent become one join: of the greatest observation, and of the latest of their times. Joining them one
//! by one comes to the same observation in any order, but would let conditions flip in between.

use apollo_wire::DeviceName;

use super::{Current, StatusChange, Write};
use crate::{
    join::{StateSource, StatusJoin},
    object::{DeviceObject, ProcessObject, ResourceVersion, Versioned},
    store::{StatusWrite, WriteOutcome},
};

/// A write and whose turn it counts on.
pub(super) type Waiting<'a> = (&'a DeviceName, &'a Write);

/// What becomes of one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its outcome is known.
    Answered(WriteOutcome),
    /// It is part of the request; computed from another version before, or not.
    Sent { carried_over: bool },
    /// It waits for what becomes of the request.
    Stays,
}

/// The fates of all, in order; the change, if any of them is [`Fate::Sent`].
pub(super) type Fold = (Vec<Fate>, Option<StatusChange>);

/// Folds what waits for one object. `outdated`: a version known to be no longer the object's.
pub(super) fn fold(
    current: Option<&Current>,
    outdated: Option<&ResourceVersion>,
    waiting: &[Waiting<'_>],
) -> Fold {
    let all = |outcome: WriteOutcome| (vec![Fate::Answered(outcome); waiting.len()], None);
    match current {
        None => all(WriteOutcome::Gone),
        Some(current) if Some(current.version()) == outdated => all(WriteOutcome::Conflict),
        Some(Current::Process(current)) => fold_process(current, waiting),
        Some(Current::Device(current)) => fold_device(current, waiting),
    }
}

impl Current {
    /// Its version.
    pub fn version(&self) -> &ResourceVersion {
        match self {
            Self::Process(current) => &current.version,
            Self::Device(current) => &current.version,
        }
    }
}

fn fold_process(current: &Versioned<ProcessObject>, waiting: &[Waiting<'_>]) -> Fold {
    let may_be_sent: Vec<Option<&StatusWrite>> = waiting
        .iter()
        .map(|(device, write)| may_be_sent(current, device, write))
        .collect();
    let joins = may_be_sent.iter().flatten().map(|write| &write.join);
    let Some(join) = joined(joins) else {
        return (vec![Fate::Answered(WriteOutcome::Conflict); waiting.len()], None);
    };
    let status = join.onto(&current.object);
    let fate = |write: &Option<&StatusWrite>| match write {
        Some(write) if write.join.device_state == join.device_state => match status {
            None => Fate::Answered(WriteOutcome::Written(current.version.clone())),
            Some(_) => Fate::Sent {
                carried_over: write.expected != current.version,
            },
        },
        _ => Fate::Answered(WriteOutcome::Conflict),
    };
    let fates = may_be_sent.iter().map(fate).collect();
    let change = status.map(|status| StatusChange::Process {
        from: Box::new(current.object.status.clone()),
        to: Box::new(status),
    });
    (fates, change)
}

/// A write whose device the process is bound to, computed from this version or from one that does not matter. Whoever
/// is bound elsewhere looks again, and finds that nothing is to be written.
fn may_be_sent<'a>(
    current: &Versioned<ProcessObject>,
    device: &DeviceName,
    write: &'a Write,
) -> Option<&'a StatusWrite> {
    let Write::Process(write) = write else {
        return None;
    };
    let may_carry_over = write.join.state_from == StateSource::Report;
    let is_current = may_carry_over || write.expected == current.version;
    (is_current && *device == current.object.device).then_some(write)
}

/// The one join that stands for all of these; `None` if there are none.
fn joined<'a>(joins: impl Iterator<Item = &'a StatusJoin> + Clone) -> Option<StatusJoin> {
    let is_report = |join: &&StatusJoin| join.state_from == StateSource::Report;
    let leading = joins.clone().find(is_report).or_else(|| joins.clone().next())?;
    let mut all = leading.clone();
    for join in joins.filter(|join| join.device_state == leading.device_state) {
        let point = |join: &StatusJoin| join.candidate.as_ref().map(|candidate| candidate.sync);
        if point(join) > point(&all) {
            all.candidate.clone_from(&join.candidate);
        }
        all.now = all.now.max(join.now);
    }
    Some(all)
}

/// Only one write can be computed from the current version and succeed; the next one waits for it to fail.
fn fold_device(current: &Versioned<DeviceObject>, waiting: &[Waiting<'_>]) -> Fold {
    let mut change = None;
    let fate = |(_, write): &Waiting<'_>| match write {
        Write::Device { expected, status, .. } if *expected == current.version => {
            if change.is_some() {
                return Fate::Stays;
            }
            change = Some(StatusChange::Device {
                from: Box::new(current.object.status.clone()),
                to: status.clone(),
            });
            Fate::Sent { carried_over: false }
        }
        _ => Fate::Answered(WriteOutcome::Conflict),
    };
    let fates = waiting.iter().map(fate).collect();
    (fates, change)
}
