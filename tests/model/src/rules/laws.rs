//! The rules as properties of states, each with the words it is reported in.

use super::{Rule, states};
use crate::{drain::Drains, scope::Scope, world::World};

/// What holds in every state that can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    ///
    SentIsOnDisk,
    ///
    NothingIsLost,
    ///
    RowsLeaveNamed,
    ///
    VerdictComesLast,
    ///
    HistoryOnlyGrows,
    ///
    StatusNeverGoesBack,
    ///
    StatusSaysWhatHistorySays,
    ///
    StatusIsTheMaximum,
    ///
    ForeignFieldsAreKept,
    ///
    WritesChangeSomething,
    ///
    OnlyTheBoundDevice,
    ///
    EveryRowHasItsVerdict,
    ///
    DroppedIsOnRecord,
    ///
    GapsLeaveIntoHistory,
    ///
    RenewedWithCause,
    ///
    HighestIsSettled,
    ///
    ClonesPart,
    ///
    SomebodyGoesOn,
    ///
    EverythingDrains,
    /// Section 3 of the design.
    EpochsStay,
    /// Section 3 of the design.
    EpochsAgree,
    /// The contract's `spec.blocked`.
    BlockedIsRefused,
}

impl Law {
    /// What it says.
    pub const fn words(self) -> &'static str {
        match self {
            Self::SentIsOnDisk => "R-01 what is sent is on disk",
            Self::NothingIsLost => "R-01 R-02 R-09 R-10 nothing confirmed is lost",
            Self::RowsLeaveNamed => "R-02 a row leaves only by a verdict that names it",
            Self::VerdictComesLast => "R-03 a verdict comes after everything has committed",
            Self::HistoryOnlyGrows => "R-04 history only grows",
            Self::StatusNeverGoesBack => "R-04 a status never goes back",
            Self::StatusSaysWhatHistorySays => "R-04 a status says what history says",
            Self::StatusIsTheMaximum => "R-04 in the end a status is the maximum",
            Self::ForeignFieldsAreKept => "R-05 fields of others are kept",
            Self::WritesChangeSomething => "R-06 a write changes something",
            Self::OnlyTheBoundDevice => "R-07 only the bound device",
            Self::EveryRowHasItsVerdict => "R-08 every row of an answered report has its verdict",
            Self::DroppedIsOnRecord => "R-09 what is dropped is on record",
            Self::GapsLeaveIntoHistory => "R-09 a gap record leaves only into history",
            Self::RenewedWithCause => "R-10 who is no copy is not renewed",
            Self::HighestIsSettled => "R-10 the highest sequence told is settled",
            Self::ClonesPart => "R-10 clones end as two instances",
            Self::SomebodyGoesOn => "R-11 an operation runs or a timer is armed",
            Self::EverythingDrains => "R-11 everything drains once nothing goes wrong",
            Self::EpochsStay => "epochs are unique and stay",
            Self::EpochsAgree => "replicas agree on epochs",
            Self::BlockedIsRefused => "nothing of a blocked device is settled",
        }
    }

    /// Whether it holds.
    pub fn holds(self, scope: &Scope, drains: &Drains, world: &World) -> bool {
        let kept = |rule| !world.ledger.broken.has(rule);
        match self {
            Self::SentIsOnDisk => kept(Rule::SentBeforeSynced),
            Self::NothingIsLost => states::nothing_is_lost(world),
            Self::RowsLeaveNamed => kept(Rule::RowLeftUnnamed),
            Self::VerdictComesLast => kept(Rule::EarlyVerdict),
            Self::HistoryOnlyGrows => kept(Rule::HistoryChanged),
            Self::StatusNeverGoesBack => kept(Rule::StatusWentBack),
            Self::StatusSaysWhatHistorySays => kept(Rule::StatusWithoutHistory),
            Self::StatusIsTheMaximum => states::statuses_are_the_maximum(scope, world),
            Self::ForeignFieldsAreKept => states::foreign_fields_are_kept(scope, world),
            Self::WritesChangeSomething => kept(Rule::EmptyWrite),
            Self::OnlyTheBoundDevice => kept(Rule::BoundElsewhere),
            Self::EveryRowHasItsVerdict => kept(Rule::RowWithoutVerdict),
            Self::DroppedIsOnRecord => kept(Rule::DroppedSilently),
            Self::GapsLeaveIntoHistory => kept(Rule::GapLost),
            Self::RenewedWithCause => kept(Rule::RenewedWithoutCause),
            Self::HighestIsSettled => kept(Rule::HighestLeads),
            Self::ClonesPart => states::clones_have_parted(scope, world),
            Self::SomebodyGoesOn => states::somebody_will_go_on(world),
            Self::EverythingDrains => drains.drains(scope, world),
            Self::EpochsStay => kept(Rule::EpochReused),
            Self::EpochsAgree => kept(Rule::EpochDisagrees),
            Self::BlockedIsRefused => kept(Rule::BlockedSettled),
        }
    }
}
