//! Deliberate defects, for tests that the checkers can fail. Nothing else ever sets one.

use apollo_agent_core::engine::state::{State, Wait};
use apollo_gateway_core::{
    join::StateSource,
    store::{Freshness, HistoryRow, OnConflict, StatusWrite, StoreRequest},
    writes::Current,
};
use apollo_twins::{queue::Queue, store::Store};
use apollo_wire::{DeviceName, Epoch, SequenceRange, UnixMillis, Verdicts};

use crate::facts::Operation;

/// One defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sabotage {
    /// The programs as they are.
    #[default]
    None,
    /// A gateway that answers before history is written.
    AcknowledgesBeforeCommit,
    /// An agent that deletes what it has sent without waiting for a verdict.
    DeletesWithoutVerdict,
    /// An agent that forgets the gap records it makes.
    ForgetsGaps,
    /// An agent that deletes refused rows as if they had been taken.
    DropsRefusedRows,
    /// A store that writes whatever version a writer read.
    IgnoresVersions,
    /// A store that takes another observation under a settled sequence for a duplicate.
    TakesCopiesForDuplicates,
    /// A queue of writes that carries repairs over to newer versions, as if they were reports.
    CarriesRepairsOver,
    /// A queue of writes that does not look at whom a process is bound to.
    FoldsWithoutBinding,
    /// An agent that never tries again after a failure.
    LosesItsTimer,
}

impl Sabotage {
    /// Whether this request is answered as if it had been carried out already.
    pub fn answers_before_commit(self, request: &StoreRequest) -> bool {
        self == Self::AcknowledgesBeforeCommit && matches!(request, StoreRequest::AppendHistory { .. })
    }

    /// The verdicts of a gateway that does not wait.
    pub fn early_verdicts(self, epoch: Epoch, rows: &[HistoryRow]) -> Verdicts {
        let sequences: Vec<u64> = rows.iter().map(|row| row.observation.seq).collect();
        Verdicts {
            epoch,
            highest_sequence: sequences.iter().copied().max().unwrap_or(0),
            acked: SequenceRange::collect(sequences),
            accepted: 0,
            duplicates: 0,
            orphaned: 0,
            rejected: Vec::new(),
            server_time: UnixMillis::saturating(0),
            clock_skew_ms: 0,
        }
    }

    /// Bends a request to what a store would make of it that does not look at versions.
    pub fn bend(self, store: &mut Store, request: StoreRequest) -> StoreRequest {
        match (self, request) {
            (Self::IgnoresVersions, StoreRequest::ReplaceProcessStatuses { device, mut writes }) => {
                for write in &mut writes {
                    if let Some(found) = store.objects.process(&write.process) {
                        write.expected = found.version.clone();
                    }
                }
                StoreRequest::ReplaceProcessStatuses { device, writes }
            }
            (Self::IgnoresVersions, StoreRequest::ReadProcesses { device, named, .. }) => {
                StoreRequest::ReadProcesses {
                    device,
                    named,
                    freshness: Freshness::Cached,
                }
            }
            (
                Self::TakesCopiesForDuplicates,
                StoreRequest::AppendHistory {
                    device,
                    instance,
                    epoch,
                    received_at,
                    rows,
                    gaps,
                    ..
                },
            ) => StoreRequest::AppendHistory {
                device,
                instance,
                epoch,
                received_at,
                rows,
                gaps,
                on_conflict: OnConflict::KeepFirst,
            },
            (_, request) => request,
        }
    }

    /// Bends what a queue of writes is given of a process.
    pub fn bend_write(self, write: &mut StatusWrite) {
        if self == Self::CarriesRepairsOver {
            write.join.state_from = StateSource::Report;
        }
    }

    /// Bends what a queue of writes knows of a process, given for whom the write is that waits.
    pub fn bend_current(self, current: Current, waits_for: Option<&DeviceName>) -> Current {
        match (self, current, waits_for) {
            (Self::FoldsWithoutBinding, Current::Process(mut process), Some(device)) => {
                process.object.device = device.clone();
                Current::Process(process)
            }
            (_, current, _) => current,
        }
    }

    /// What an agent does to its queue that it must not do.
    pub fn spoil(self, queue: &mut Queue, operation: Operation) {
        let acked = match (self, operation) {
            (Self::DeletesWithoutVerdict, Operation::Take) => vec![SequenceRange {
                first: 1,
                last: queue.offered_through(),
            }],
            (Self::ForgetsGaps, Operation::Append) => Vec::new(),
            _ => return,
        };
        let gaps = match self {
            Self::ForgetsGaps => queue.gaps(),
            _ => Vec::new(),
        };
        let verdicts = Verdicts {
            acked,
            ..self.early_verdicts(0, &[])
        };
        // The instance is the queue's own.
        let _ = queue.settle(queue.instance(), &gaps, &verdicts);
    }

    /// Whether the engine's timer is forgotten.
    pub fn loses_timer(self, state: State) -> bool {
        let retries = matches!(
            state,
            State::Waiting {
                wait: Wait::Retry,
                ..
            }
        );
        self == Self::LosesItsTimer && retries
    }

    /// What an agent makes of verdicts.
    pub fn read(self, verdicts: Verdicts) -> Verdicts {
        if self != Self::DropsRefusedRows {
            return verdicts;
        }
        let refused = verdicts.rejected.iter().map(|rejection| SequenceRange {
            first: rejection.seq,
            last: rejection.seq,
        });
        Verdicts {
            acked: verdicts.acked.iter().copied().chain(refused).collect(),
            rejected: Vec::new(),
            ..verdicts
        }
    }
}
