//! What may happen to a queue, as values that proptest draws.

use apollo_gateway_core::object::DeviceState;
use proptest::{prelude::*, sample::Index};

/// A place in a device's life: epoch and sequence.
pub(crate) type Point = (u32, u64);

/// What happens next.
#[derive(Debug, Clone)]
pub(crate) enum Turn {
    Report {
        of: Index,
        point: Point,
        is_late: bool,
    },
    Repair {
        of: Index,
        state: DeviceState,
        is_late: bool,
    },
    Device {
        of: Index,
        is_late: bool,
    },
    Next,
    End {
        which: Index,
        how: End,
    },
    OtherWriter {
        of: Index,
    },
    WatchLags,
    WatchCatchesUp,
    Abandon {
        which: Index,
    },
    TimePasses {
        ms: u64,
    },
}

/// How a request ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    Answered,
    NoAnswer { was_done: bool },
    TooMany { retry_after_ms: Option<u64> },
}

/// Any turn, what matters more often.
pub(crate) fn turn() -> impl Strategy<Value = Turn> {
    let of = any::<Index>;
    let is_late = || prop::bool::weighted(0.3);
    let state = prop_oneof![
        Just(DeviceState::Connected),
        Just(DeviceState::Lost),
        Just(DeviceState::Blocked)
    ];
    let end = prop_oneof![
        8 => Just(End::Answered),
        1 => any::<bool>().prop_map(|was_done| End::NoAnswer { was_done }),
        1 => prop::option::of(0..2_000_u64).prop_map(|retry_after_ms| End::TooMany { retry_after_ms }),
    ];
    prop_oneof![
        8 => (of(), (1..3_u32, 1..30_u64), is_late())
            .prop_map(|(of, point, is_late)| Turn::Report { of, point, is_late }),
        2 => (of(), state, is_late()).prop_map(|(of, state, is_late)| Turn::Repair { of, state, is_late }),
        2 => (of(), is_late()).prop_map(|(of, is_late)| Turn::Device { of, is_late }),
        10 => Just(Turn::Next),
        8 => (of(), end).prop_map(|(which, how)| Turn::End { which, how }),
        2 => of().prop_map(|of| Turn::OtherWriter { of }),
        1 => Just(Turn::WatchLags),
        1 => Just(Turn::WatchCatchesUp),
        1 => of().prop_map(|which| Turn::Abandon { which }),
        3 => (0..200_u64).prop_map(|ms| Turn::TimePasses { ms }),
    ]
}
