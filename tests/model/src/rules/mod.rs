//! What must hold. Checks of a step look at it while it is made and leave a mark in the state; checks of a state look at
//! the state alone.

pub mod laws;
pub mod queues;
pub mod states;
pub mod stores;
pub mod verdicts;

/// A rule that a step can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Rule {
    /// what is sent is on disk.
    SentBeforeSynced,
    /// a row leaves only by a verdict that names it, for its instance.
    RowLeftUnnamed,
    /// history or a status of what is acknowledged has not committed.
    EarlyVerdict,
    /// a row of history changed or went.
    HistoryChanged,
    /// a status went back.
    StatusWentBack,
    /// a status says what history does not.
    StatusWithoutHistory,
    /// a write that changed nothing.
    EmptyWrite,
    /// written by a device that the process is not bound to.
    BoundElsewhere,
    /// a row of an answered report has no verdict.
    RowWithoutVerdict,
    /// a row was dropped without a record.
    DroppedSilently,
    /// a record left the queue before it was in history.
    GapLost,
    /// a queue that is no copy was renewed.
    RenewedWithoutCause,
    /// the gateway told of a higher sequence than it has settled.
    HighestLeads,
    /// An epoch was used twice, changed, or is below an earlier one.
    EpochReused,
    /// Verdicts, history and the Device's list name different epochs.
    EpochDisagrees,
    /// Something of a blocked device was settled.
    BlockedSettled,
}

/// Which rules a step has broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Broken(u32);

impl Broken {
    /// Marks `rule` unless it `holds`.
    pub fn unless(&mut self, holds: bool, rule: Rule) {
        if !holds {
            self.0 |= 1 << rule as u8;
        }
    }

    /// Whether `rule` was broken.
    pub fn has(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u8) != 0
    }
}
