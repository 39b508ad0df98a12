//! First half of an exchange: may this device report, and which epoch does its instance have?

use apollo_wire::{Epoch, Sequence};

use super::{AfterDevice, AfterPause, AfterProcesses, Awaiting, Exchange, Next, Outcome, Refusal};
use crate::{
    epoch, heartbeat,
    judge::{self, Bindings},
    machine::Step,
    object::{DeviceObject, DeviceStatus, ProcessObject, Versioned},
    policy::Registration,
    store::{Freshness, StoreRequest, WriteOutcome},
};

impl Exchange {
    pub(super) fn on_device(
        &mut self,
        found: Option<Versioned<DeviceObject>>,
        freshness: Freshness,
        then: AfterDevice,
    ) -> Next {
        if found.as_ref().is_some_and(|found| found.object.blocked) {
            return self.conclude(Outcome::Refused(Refusal::Blocked));
        }
        if found.is_none() && self.policy.registration == Registration::Manual {
            // It may have been created a moment ago: only the store itself can say that it does not exist.
            return match freshness {
                Freshness::Cached => self.read_device(Freshness::Authoritative, then),
                Freshness::Authoritative => self.conclude(Outcome::Refused(Refusal::UnknownDevice)),
            };
        }
        self.progress.found = found;
        match then {
            AfterDevice::ReadProcesses => self.read_processes(Freshness::Cached, AfterProcesses::Claim),
            AfterDevice::Claim => self.ask_or_claim(),
            AfterDevice::WriteDevice => self.write_device(),
        }
    }

    pub(super) fn on_processes(
        &mut self,
        processes: Vec<Versioned<ProcessObject>>,
        freshness: Freshness,
        then: AfterProcesses,
    ) -> Next {
        self.progress.processes = processes;
        match then {
            AfterProcesses::WriteStatuses => self.write_statuses(),
            AfterProcesses::Claim
                if freshness == Freshness::Cached
                    && judge::is_doubtful(&self.report, &self.device, &self.bindings()) =>
            {
                self.read_processes(Freshness::Authoritative, then)
            }
            AfterProcesses::Claim => self.ask_or_claim(),
        }
    }

    /// Asks history first, where that is needed for the Device as it was read now: after a lost race it may be another
    /// one, with a list of lives that has forgotten some.
    fn ask_or_claim(&mut self) -> Next {
        if !self.needs_highest() || self.progress.history_highest.is_some() {
            return self.claim();
        }
        self.awaiting = Awaiting::Highest;
        Step::Request(StoreRequest::ReadHighest {
            device: self.device.clone(),
            instance: self.report.instance,
        })
    }

    /// Who the processes that were read are bound to.
    pub(super) fn bindings(&self) -> Bindings {
        let binding = |process: &Versioned<ProcessObject>| {
            (process.object.process.clone(), process.object.device.clone())
        };
        self.progress.processes.iter().map(binding).collect()
    }

    /// The Device's status as last read or written; the default if there is no Device.
    pub(super) fn device_status(&self) -> DeviceStatus {
        self.progress
            .found
            .as_ref()
            .map(|found| found.object.status.clone())
            .unwrap_or_default()
    }

    /// Whether history must be asked: did this instance send more than it remembers, and was it
    /// forgotten?
    fn needs_highest(&self) -> bool {
        let may_be_rolled_back =
            self.report.offered_through.is_some() && !self.report.observations.is_empty();
        let status = self.progress.found.as_ref().map(|found| &found.object.status);
        let may_be_forgotten = status.is_some_and(|status| {
            epoch::known(status, self.report.instance).is_none() && epoch::has_forgotten(status)
        });
        may_be_rolled_back || may_be_forgotten
    }

    /// Finds the instance's epoch, or takes the next one by compare-and-swap.
    pub(super) fn claim(&mut self) -> Next {
        let mut status = self.device_status();
        if let Some(entry) = epoch::known(&status, self.report.instance) {
            self.progress.epoch = entry.epoch;
            return self.judge();
        }
        if epoch::has_forgotten(&status) && self.history_highest() > 0 {
            self.progress.epoch = epoch::FORGOTTEN;
            return self.judge();
        }
        let device = &self.device;
        let bound = self.progress.processes.iter().map(|process| &process.object);
        let floor = epoch::floor(bound.filter(|process| process.device == *device));
        let epoch = epoch::claim(
            &mut status,
            self.report.instance,
            floor,
            self.policy.instances_kept,
        );
        heartbeat::record_all(&mut status, &self.facts, &self.policy);
        self.awaiting = Awaiting::Claim {
            epoch,
            status: Box::new(status.clone()),
        };
        let (device, status) = (self.device.clone(), Box::new(status));
        Step::Request(match &self.progress.found {
            Some(found) => StoreRequest::ReplaceDeviceStatus {
                device,
                expected: found.version.clone(),
                status,
            },
            None => StoreRequest::CreateDevice { device, status },
        })
    }

    pub(super) fn on_claimed(&mut self, epoch: Epoch, status: DeviceStatus, outcome: WriteOutcome) -> Next {
        self.effects.device_writes.count(&outcome);
        let WriteOutcome::Written(version) = outcome else {
            return self.retry(AfterPause::ReadDevice(AfterDevice::Claim));
        };
        let found = self.progress.found.take().map(|found| found.object);
        self.effects.registered = found.is_none();
        self.effects.new_epoch = Some(epoch);
        let (blocked, stale_after_ms) =
            found.map_or((false, None), |found| (found.blocked, found.stale_after_ms));
        let object = DeviceObject {
            device: self.device.clone(),
            blocked,
            stale_after_ms,
            status,
        };
        self.progress.found = Some(Versioned { version, object });
        self.progress.epoch = epoch;
        self.judge()
    }

    /// The highest sequence history has of this instance, as far as it was asked.
    pub(super) fn history_highest(&self) -> Sequence {
        self.progress.history_highest.unwrap_or(0)
    }
}
