//! What a search has to come across, so that "always" is not said of a world where nothing happens.

/// Something worth meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Met {
    /// A status write lost its compare-and-swap.
    StatusConflict,
    /// A write of the Device lost its compare-and-swap.
    DeviceConflict,
    /// A report was settled after a lost compare-and-swap.
    ConflictResolved,
    /// Two claims of an epoch met; one lost.
    EpochContended,
    /// An observation came again and was settled as a duplicate.
    Duplicate,
    /// History refused another observation under a sequence it has.
    Diverged,
    /// A report was refused for what the device does not remember offering.
    Forgetful,
    /// Renewed: the gateway knows a sequence not handed out yet.
    SignNextSequence,
    /// Renewed: the gateway was silent about all rows.
    SignSilence,
    /// Renewed: the gateway knows a sequence never offered.
    SignNeverOffered,
    /// 503, nothing committed.
    Busy,
    /// 503 after the statuses or history had been written.
    BusyAfterCommit,
    /// A blocked device was refused.
    Blocked,
    /// An observation became a dead letter.
    DeadLetter,
    /// One report had an observation settled and another one refused.
    RefusedAmongSettled,
    /// 403 with verdicts.
    Forbidden,
    /// An observation of a process that does not exist was kept.
    Orphaned,
    /// A full queue dropped a row.
    Dropped,
    /// A gap record reached history.
    GapDelivered,
    /// A gap record was re-numbered with its queue.
    GapRenumbered,
    /// Killed after the note of what is offered, before it was sent.
    CrashOfferedUnsent,
    /// Killed with a report on its way.
    CrashAwaiting,
    /// Killed with verdicts in hand, before they were settled.
    CrashBeforeSettle,
    /// Killed after settling, before anybody was told.
    CrashAfterSettle,
    /// Killed after renewing, before anybody was told.
    CrashAfterRenew,
    /// Killed after an append, before it was confirmed.
    CrashAfterAppend,
    /// The disk refused the verdicts.
    SettleRefused,
    /// The disk refused the new instance.
    RenewRefused,
    /// A replica was killed after it had written history.
    KilledAfterHistory,
    /// A report was worked on by both replicas at once.
    Twice,
    /// A report was taken after its agent had given up.
    TakenLate,
    /// A report sent again on a new connection was settled.
    ResentSettled,
    /// An observation lost the join: a later one was there already.
    JoinLost,
    /// A queue was restored from an older copy.
    Restored,
    /// An instance that was forgotten reported.
    Forgotten,
    /// A Device was registered again after it had been deleted.
    RegisteredAgain,
    /// A process was bound away while a report about it was in work.
    BoundAwayInWork,
    /// A refused row had been settled before, and was acknowledged.
    SettledBefore,
    /// A cache that lagged was asked.
    StaleRead,
    /// An empty report of a connected device was answered without any write.
    HeartbeatForNothing,
    /// Two writes became one request.
    Folded,
    /// A write was sent for a newer version than it was computed from.
    CarriedOver,
    /// A write was answered by the queue alone.
    KnownWithoutRequest,
}

/// A set of [`Met`].
#[derive(Debug, Clone, Copy, Default)]
pub struct MetSet(u64);

impl MetSet {
    /// Adds one.
    pub fn add(&mut self, met: Met) {
        self.0 |= 1 << met as u8;
    }

    /// Adds one if `it_was` so.
    pub fn add_if(&mut self, it_was: bool, met: Met) {
        if it_was {
            self.add(met);
        }
    }

    /// The set as a number.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The set that is this number.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Whether it has this one.
    pub fn has(self, met: Met) -> bool {
        self.0 & (1 << met as u8) != 0
    }
}
