//! Second half of an exchange: judge, commit history, commit statuses, and only then give verdicts.

use apollo_wire::{RejectReason, Sequence};

use super::{AfterDevice, AfterPause, Awaiting, Exchange, Next, Outcome};
use crate::{
    epoch, heartbeat,
    join::{StateSource, StatusJoin},
    judge::{self, Judgement},
    machine::Step,
    object::{DeviceState, ProcessObject, Versioned},
    store::{OnConflict, StatusWrite, StoreRequest, WriteOutcome},
    verdict::{self, Settlement},
};

impl Exchange {
    /// Sorts the report, unless the device has been restored from an old image: then its sequences may name
    /// other observations than those already settled, and none of them is touched. It is alive all the
    /// same.
    pub(super) fn judge(&mut self) -> Next {
        let highest = self.recorded_highest().max(self.history_highest());
        let offered = self
            .report
            .offered_through
            .filter(|_| !self.report.observations.is_empty());
        let bindings = self.bindings();
        let judgement = judge::judge(
            &mut self.report,
            &self.device,
            self.clock,
            &bindings,
            &self.policy,
        );
        // Another replica may have taken this very report: a first flight can arrive twice. Then the highest is one of its
        // own rows, and history will compare what they say.
        let is_own = judgement.names(highest);
        if offered.is_some_and(|offered| highest > offered) && !is_own {
            return self.rolled_back();
        }
        let refused: Vec<Sequence> = judgement.refused_now.keys().copied().collect();
        self.progress.judgement = judgement;
        if refused.is_empty() {
            return self.append_history();
        }
        self.awaiting = Awaiting::Settled;
        Step::Request(StoreRequest::ReadSettled {
            device: self.device.clone(),
            instance: self.report.instance,
            sequences: refused,
        })
    }

    /// What a lost reply had settled stays settled, whatever has changed since.
    pub(super) fn on_settled_before(&mut self, sequences: &[Sequence]) -> Next {
        let bindings = self.bindings();
        self.progress
            .judgement
            .acknowledge(sequences, &self.device, &bindings);
        self.append_history()
    }

    /// The device runs from an old copy of its database: nothing of the report is touched but the proof of life.
    fn rolled_back(&mut self) -> Next {
        self.effects.rolled_back = true;
        self.progress.judgement = Judgement::default();
        self.write_statuses()
    }

    /// History knows other observations by these sequences: the device's queue and another one are copies of each
    /// other, and both have gone on. Taking them for duplicates would lose them.
    pub(super) fn on_diverged(&mut self, highest: Sequence) -> Next {
        self.progress.history_highest = Some(highest);
        self.rolled_back()
    }

    fn append_history(&mut self) -> Next {
        let judgement = &mut self.progress.judgement;
        self.progress.settlement.duplicates = judgement.repeated;
        if judgement.rows.is_empty() && judgement.gaps.is_empty() {
            return self.write_statuses();
        }
        let (rows, gaps) = (
            std::mem::take(&mut judgement.rows),
            std::mem::take(&mut judgement.gaps),
        );
        let keys = verdict::keys(&rows);
        self.awaiting = Awaiting::History {
            keys,
            gaps: u32::try_from(gaps.len()).unwrap_or(u32::MAX),
        };
        Step::Request(StoreRequest::AppendHistory {
            device: self.device.clone(),
            instance: self.report.instance,
            epoch: self.progress.epoch,
            received_at: self.clock.received_at,
            rows,
            gaps,
            // Only an agent that says what it offered can start a new instance; from others a sequence counts once.
            on_conflict: if self.report.offered_through.is_some() {
                OnConflict::RefuseOther
            } else {
                OnConflict::KeepFirst
            },
        })
    }

    pub(super) fn on_history(&mut self, keys: &[(Sequence, bool)], new: &[bool], gaps: u32) -> Next {
        self.effects.gaps = gaps;
        let judgement = &self.progress.judgement;
        self.progress.settlement = Settlement::of(keys, new, judgement.repeated);
        self.write_statuses()
    }

    /// Joins what was seen into every process of the device. Processes that were not named take part as well:
    /// their `AgentConnected` comes back with any report, empty ones included.
    pub(super) fn write_statuses(&mut self) -> Next {
        let writes: Vec<StatusWrite> = self
            .progress
            .processes
            .iter()
            .filter_map(|read| self.joined(read))
            .collect();
        if writes.is_empty() {
            return self.write_device();
        }
        self.awaiting = Awaiting::Statuses {
            writes: u32::try_from(writes.len()).unwrap_or(u32::MAX),
        };
        Step::Request(StoreRequest::ReplaceProcessStatuses {
            device: self.device.clone(),
            writes,
        })
    }

    fn joined(&self, read: &Versioned<ProcessObject>) -> Option<StatusWrite> {
        if read.object.device != self.device {
            return None;
        }
        let epoch = self.progress.epoch;
        let Judgement { candidates, .. } = &self.progress.judgement;
        let candidate = candidates
            .get(&read.object.process)
            .filter(|_| epoch != epoch::FORGOTTEN)
            .map(|observed| observed.in_epoch(epoch));
        let join = StatusJoin {
            candidate,
            device_state: DeviceState::Connected,
            state_from: StateSource::Report,
            now: self.clock.received_at,
        };
        let status = join.onto(&read.object)?;
        Some(StatusWrite {
            process: read.object.process.clone(),
            expected: read.version.clone(),
            status,
            join,
        })
    }

    /// `Gone` needs nothing more: history has the observation, and there is no status any more.
    pub(super) fn on_statuses(&mut self, writes: u32, outcomes: &[WriteOutcome]) -> Next {
        for outcome in outcomes {
            self.effects.process_writes.count(outcome);
        }
        let all_answered = outcomes.len() >= usize::try_from(writes).unwrap_or(usize::MAX);
        if all_answered && !outcomes.contains(&WriteOutcome::Conflict) {
            return self.write_device();
        }
        self.retry(AfterPause::ReadProcesses)
    }

    /// Records the heartbeat, if it is time to.
    pub(super) fn write_device(&mut self) -> Next {
        let Some(found) = &self.progress.found else {
            // Deleted while we worked: the device registers anew when it calls again.
            return self.busy(None);
        };
        let listed = epoch::known(&found.object.status, self.report.instance).map(|entry| entry.epoch);
        if self.progress.epoch != epoch::FORGOTTEN && listed != Some(self.progress.epoch) {
            // Deleted and created again: our epoch may be somebody else's now.
            return self.busy(None);
        }
        let settled = self.progress.settlement.highest();
        match heartbeat::join_device(&found.object, &self.facts, settled, &self.policy) {
            None => self.settle(),
            Some(status) => {
                self.awaiting = Awaiting::DeviceStatus;
                Step::Request(StoreRequest::ReplaceDeviceStatus {
                    device: self.device.clone(),
                    expected: found.version.clone(),
                    status: Box::new(status),
                })
            }
        }
    }

    pub(super) fn on_device_written(&mut self, outcome: &WriteOutcome) -> Next {
        self.effects.device_writes.count(outcome);
        match outcome {
            WriteOutcome::Written(_) => self.settle(),
            WriteOutcome::Conflict => self.retry(AfterPause::ReadDevice(AfterDevice::WriteDevice)),
            WriteOutcome::Gone => self.busy(None),
        }
    }

    /// Everything has committed.
    fn settle(&mut self) -> Next {
        // After a rollback the answer must name what the device has forgotten sending, or it could not know.
        let remembered = if self.effects.rolled_back {
            self.history_highest()
        } else {
            0
        };
        let settlement = std::mem::take(&mut self.progress.settlement);
        let highest = self.recorded_highest().max(settlement.highest()).max(remembered);
        let rejections = std::mem::take(&mut self.progress.judgement.rejections);
        let forbidden = settlement.acked.is_empty()
            && rejections
                .iter()
                .any(|rejection| rejection.reason == RejectReason::NotBound);
        let verdicts = settlement.verdicts(self.progress.epoch, highest, rejections, self.clock);
        self.conclude(Outcome::Settled { verdicts, forbidden })
    }

    /// The highest settled sequence the Device's status names for this instance; 0 if none.
    fn recorded_highest(&self) -> Sequence {
        self.progress
            .found
            .as_ref()
            .and_then(|found| epoch::known(&found.object.status, self.report.instance))
            .map_or(0, |entry| entry.highest_sequence)
    }
}
