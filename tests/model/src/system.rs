//! The scope as the checker sees it: states, actions, properties.

use std::sync::atomic::{AtomicU64, Ordering};

use stateright::{Model, Property};

use crate::{
    action::Action,
    drain::Drains,
    met::{Met, MetSet},
    rules::laws::Law,
    scope::Scope,
    steps,
    world::World,
};

/// A scope to explore.
#[derive(Debug)]
pub struct System {
    /// Which.
    pub scope: Scope,
    drains: Drains,
    broken: AtomicU64,
    met: AtomicU64,
}

impl System {
    /// Nothing is explored yet.
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            drains: Drains::default(),
            broken: AtomicU64::new(0),
            met: AtomicU64::new(0),
        }
    }

    /// The checker keeps the last counterexample that it is told of. The first one is the shortest, so it is told of that
    /// one alone.
    fn keeps(&self, law: Law, world: &World) -> bool {
        let bit = 1 << law as u32;
        law.holds(&self.scope, &self.drains, world) || self.broken.fetch_or(bit, Ordering::Relaxed) & bit != 0
    }

    /// Whether the search has come across it. Asked of the search and not of the state, for a step may well lead to a state
    /// that was known before: a duplicate that is refused, say.
    fn has_met(&self, met: Met) -> bool {
        MetSet::from_bits(self.met.load(Ordering::Relaxed)).has(met)
    }
}

macro_rules! laws {
    ($($law:ident),+ $(,)?) => {
        vec![$(Property::always(Law::$law.words(), |system: &System, world| system.keeps(Law::$law, world))),+]
    };
}

macro_rules! examples {
    ($($met:ident),+ $(,)?) => {
        [$((Met::$met, Property::sometimes(stringify!($met), |system: &System, _| system.has_met(Met::$met)))),+]
    };
}

impl Model for System {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.scope)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        steps::possible(&self.scope, world, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let next = steps::next(&self.scope, world, action)?;
        self.met.fetch_or(next.met.bits(), Ordering::Relaxed);
        Some(next)
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = laws![
            SentIsOnDisk,
            NothingIsLost,
            RowsLeaveNamed,
            VerdictComesLast,
            HistoryOnlyGrows,
            StatusNeverGoesBack,
            StatusSaysWhatHistorySays,
            StatusIsTheMaximum,
            ForeignFieldsAreKept,
            WritesChangeSomething,
            OnlyTheBoundDevice,
            EveryRowHasItsVerdict,
            DroppedIsOnRecord,
            GapsLeaveIntoHistory,
            RenewedWithCause,
            HighestIsSettled,
            ClonesPart,
            SomebodyGoesOn,
            EverythingDrains,
            EpochsStay,
            EpochsAgree,
            BlockedIsRefused,
        ];
        let examples = examples![
            StatusConflict,
            DeviceConflict,
            ConflictResolved,
            EpochContended,
            Duplicate,
            Diverged,
            Forgetful,
            SignNextSequence,
            SignSilence,
            SignNeverOffered,
            Busy,
            BusyAfterCommit,
            Blocked,
            DeadLetter,
            RefusedAmongSettled,
            Forbidden,
            Orphaned,
            Dropped,
            GapDelivered,
            GapRenumbered,
            CrashOfferedUnsent,
            CrashAwaiting,
            CrashBeforeSettle,
            CrashAfterSettle,
            CrashAfterRenew,
            CrashAfterAppend,
            SettleRefused,
            RenewRefused,
            KilledAfterHistory,
            Twice,
            TakenLate,
            ResentSettled,
            JoinLost,
            Restored,
            Forgotten,
            RegisteredAgain,
            BoundAwayInWork,
            SettledBefore,
            StaleRead,
            HeartbeatForNothing,
            Folded,
            CarriedOver,
            KnownWithoutRequest,
        ];
        let wanted = examples
            .into_iter()
            .filter(|(met, _)| self.scope.meets.contains(met));
        properties.extend(wanted.map(|(_, property)| property));
        properties
    }
}
