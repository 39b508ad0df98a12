//! One report, from the first look at its Device to the verdicts.
//!
//! ```text
//!  ReadDevice ─> ReadProcesses ─> [ReadHighest] ─> [claim an epoch] ─> judge ─> [ReadSettled] ─> AppendHistory
//!      blocked, unknown: 403       R-10, epoch      compare-and-swap            if refused            │
//!                                                                                                     v
//!  verdicts <── [ReplaceDeviceStatus] <────────────────────────────────── [ReplaceProcessStatuses]
//!     R-03         coalesced, R-06                                               join, R-04
//! ```
//! Steps in brackets happen only if there is something to do: an empty report of a healthy device is two
//! cached reads. A conflict means pause, read from the store itself, compute again (R-05), up to
//! [`Policy::cas_attempts`]; then, and whenever the store cannot answer, the outcome is [`Outcome::Busy`] and
//! nothing is settled (R-03).
//!
//! **Binding and races (R-07).** A process that the cache shows missing, or bound to another device, is
//! looked up in the store itself before anything is decided: those verdicts are final. If instead a process
//! is bound *away* while its report is in work, the status write conflicts (or finds the new binding on
//! re-reading) and is dropped; the observation stays settled in history, where it was written while the
//! binding held as far as this replica could know. A process that is deleted meanwhile is the same: history
//! is kept, there is no status any more.

mod admit;
mod outcome;
mod settle;

use std::time::Duration;

use apollo_wire::{DeviceName, Epoch, ProcessRef, Report, Sequence, UnixMillis};

pub use outcome::{Concluded, Effects, Outcome, Refusal, WriteTally};

use crate::{
    heartbeat::DeviceFacts,
    judge::{self, Judgement},
    machine::{Machine, Retries, Step},
    object::{DeviceObject, DeviceStatus, ProcessObject, Versioned},
    policy::Policy,
    store::{Freshness, StoreReply, StoreRequest},
    time::ClockReading,
    verdict::Settlement,
};

type Next = Step<Concluded>;

/// The machine that takes one report to its outcome. Create it when the whole report has been received, drive
/// it as [`Machine`] says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Exchange {
    device: DeviceName,
    report: Report,
    clock: ClockReading,
    facts: DeviceFacts,
    policy: Policy,
    retries: Retries,
    awaiting: Awaiting,
    progress: Progress,
    effects: Effects,
}

/// What the exchange has learned and done so far.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Progress {
    found: Option<Versioned<DeviceObject>>,
    named: Vec<ProcessRef>,
    processes: Vec<Versioned<ProcessObject>>,
    history_highest: Option<Sequence>,
    epoch: Epoch,
    judgement: Judgement,
    settlement: Settlement,
}

/// Which answer the exchange waits for, with what it needs to understand it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Awaiting {
    Start,
    Device {
        freshness: Freshness,
        then: AfterDevice,
    },
    Processes {
        freshness: Freshness,
        then: AfterProcesses,
    },
    Highest,
    Claim {
        epoch: Epoch,
        status: Box<DeviceStatus>,
    },
    Settled,
    History {
        keys: Vec<(Sequence, bool)>,
        gaps: u32,
    },
    Statuses {
        writes: u32,
    },
    DeviceStatus,
    Pause(AfterPause),
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum AfterDevice {
    ReadProcesses,
    Claim,
    WriteDevice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum AfterProcesses {
    Claim,
    WriteStatuses,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum AfterPause {
    ReadDevice(AfterDevice),
    ReadProcesses,
}

impl Exchange {
    /// An exchange for a whole report, received from `device` (by its certificate) at `received_at`. Two
    /// exchanges should not share a `jitter_seed`.
    pub fn new(
        device: DeviceName,
        report: Report,
        received_at: UnixMillis,
        policy: Policy,
        jitter_seed: u64,
    ) -> Self {
        let clock = ClockReading {
            sent_at: report.sent_at,
            received_at,
        };
        Self {
            facts: DeviceFacts::of(&report, clock),
            retries: Retries::new(&policy, jitter_seed),
            progress: Progress {
                named: judge::named(&report),
                ..Progress::default()
            },
            awaiting: Awaiting::Start,
            effects: Effects::default(),
            device,
            report,
            clock,
            policy,
        }
    }

    fn read_device(&mut self, freshness: Freshness, then: AfterDevice) -> Next {
        self.awaiting = Awaiting::Device { freshness, then };
        Step::Request(StoreRequest::ReadDevice {
            device: self.device.clone(),
            freshness,
        })
    }

    fn read_processes(&mut self, freshness: Freshness, then: AfterProcesses) -> Next {
        self.awaiting = Awaiting::Processes { freshness, then };
        Step::Request(StoreRequest::ReadProcesses {
            device: self.device.clone(),
            named: self.progress.named.clone(),
            freshness,
        })
    }

    /// After a lost compare-and-swap: pause and go on as told, or give up (R-05).
    fn retry(&mut self, then: AfterPause) -> Next {
        match self.retries.next_pause() {
            Some(pause) => {
                self.awaiting = Awaiting::Pause(then);
                Step::Pause(pause)
            }
            None => self.busy(None),
        }
    }

    fn busy(&mut self, retry_after: Option<Duration>) -> Next {
        let retry_after = retry_after.unwrap_or(Duration::from_millis(self.policy.busy_retry_after_ms));
        self.conclude(Outcome::Busy { retry_after })
    }

    fn conclude(&mut self, outcome: Outcome) -> Next {
        self.awaiting = Awaiting::Nothing;
        Step::Done(Concluded {
            outcome,
            effects: std::mem::take(&mut self.effects),
        })
    }

    /// The store could not say whether it did what it was asked: counted where a write was in flight.
    fn unavailable(&mut self, awaiting: &Awaiting, retry_after: Option<Duration>) -> Next {
        match awaiting {
            Awaiting::Statuses { writes } => self.effects.process_writes.error += *writes,
            Awaiting::Claim { .. } | Awaiting::DeviceStatus => self.effects.device_writes.error += 1,
            _ => {}
        }
        self.busy(retry_after)
    }
}

impl Machine for Exchange {
    type Output = Concluded;

    fn start(&mut self) -> Next {
        self.read_device(Freshness::Cached, AfterDevice::ReadProcesses)
    }

    fn on_reply(&mut self, reply: StoreReply) -> Next {
        let awaiting = std::mem::replace(&mut self.awaiting, Awaiting::Nothing);
        match (awaiting, reply) {
            (Awaiting::Device { freshness, then }, StoreReply::Device(found)) => {
                self.on_device(found, freshness, then)
            }
            (Awaiting::Processes { freshness, then }, StoreReply::Processes(processes)) => {
                self.on_processes(processes, freshness, then)
            }
            (Awaiting::Highest, StoreReply::Highest(highest)) => {
                self.progress.history_highest = Some(highest);
                self.claim()
            }
            (Awaiting::Claim { epoch, status }, StoreReply::Written(outcome)) => {
                self.on_claimed(epoch, *status, outcome)
            }
            (Awaiting::Settled, StoreReply::Settled(sequences)) => self.on_settled_before(&sequences),
            (Awaiting::History { keys, gaps }, StoreReply::HistoryAppended { new, .. }) => {
                self.on_history(&keys, &new, gaps)
            }
            (Awaiting::History { .. }, StoreReply::HistoryDiverged { highest }) => self.on_diverged(highest),
            (Awaiting::Statuses { writes }, StoreReply::StatusesWritten(outcomes)) => {
                self.on_statuses(writes, &outcomes)
            }
            (Awaiting::DeviceStatus, StoreReply::Written(outcome)) => self.on_device_written(&outcome),
            (awaiting, StoreReply::Unavailable { retry_after }) => self.unavailable(&awaiting, retry_after),
            // Not what was asked: the store is not the one we know. Nothing is settled.
            (awaiting, _) => self.unavailable(&awaiting, None),
        }
    }

    fn on_pause_over(&mut self) -> Next {
        match std::mem::replace(&mut self.awaiting, Awaiting::Nothing) {
            Awaiting::Pause(AfterPause::ReadDevice(then)) => self.read_device(Freshness::Authoritative, then),
            Awaiting::Pause(AfterPause::ReadProcesses) => {
                self.read_processes(Freshness::Authoritative, AfterProcesses::WriteStatuses)
            }
            awaiting => self.unavailable(&awaiting, None),
        }
    }
}
