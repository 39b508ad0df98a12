//! Parts that break a rule on purpose: each has to be found out, or the checker proves nothing.

/// Who works against the rules, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saboteur {
    /// A replica that goes on to the verdicts without having written the statuses.
    VerdictBeforeStatus,
    /// A replica that goes on to the verdicts without having written history.
    VerdictBeforeHistory,
    /// A store that takes every write, whatever version it was computed from.
    VersionIgnored,
    /// A history that takes other observations under one sequence for duplicates.
    DivergenceIgnored,
    /// An agent that takes a 503 for a yes.
    BusyTakenForYes,
    /// An agent that goes on under its old instance.
    NeverRenews,
    /// An agent that confirms an observation before it is on disk.
    UnsyncedAppend,
    /// An agent that does not note what it is about to offer.
    OfferedUnnoted,
    /// An agent whose full queue forgets rows without a record.
    SilentOverflow,
    /// A replica that looks at no block (blocked devices are refused).
    BlockIgnored,
}
