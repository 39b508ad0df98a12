//! The scopes. Each is small enough to be explored in full, and all of them together meet everything in [`Met`].

use apollo_gateway_core::policy::Policy;
use apollo_twins::queue;

use crate::{
    met::Met,
    scope::{AgentPlan, Budget, Scope},
};

/// A queue nothing ever fills.
const ROOMY: queue::Limits = queue::Limits {
    max_rows: 100,
    max_bytes: 1_000_000,
};

/// Two attempts of each compare-and-swap: enough for one that fails and one that succeeds, or for two that fail.
fn policy() -> Policy {
    Policy {
        cas_attempts: 2,
        ..Policy::default()
    }
}

fn agent(device: usize, observes: &[usize]) -> AgentPlan {
    AgentPlan {
        device,
        observes: observes.to_vec(),
    }
}

fn scope(name: &'static str) -> Scope {
    Scope {
        name,
        agents: vec![agent(0, &[0])],
        bindings: vec![0],
        image: vec![],
        replicas: 2,
        queued_writes: false,
        budget: Budget::default(),
        policy: policy(),
        batch_rows: 8,
        queue: ROOMY,
        saboteur: None,
        meets: &[],
    }
}

/// Two agents with one identity and one image, on which one observation waits already.
pub fn clones() -> Scope {
    Scope {
        agents: vec![agent(0, &[0]), agent(0, &[0])],
        image: vec![0],
        budget: Budget {
            impatience: 1,
            ..Budget::default()
        },
        meets: &[
            Met::SignSilence,
            Met::Diverged,
            Met::Forgetful,
            Met::EpochContended,
            Met::Duplicate,
            Met::JoinLost,
        ],
        ..scope("clones")
    }
}

/// One agent whose report reaches both replicas, another controller at the same status, and a store that fails.
pub fn conflicts() -> Scope {
    Scope {
        agents: vec![agent(0, &[0])],
        budget: Budget {
            repeats: 1,
            resends: 1,
            foreign_writes: 1,
            unavailable: 1,
            lost_answers: 1,
            ..Budget::default()
        },
        meets: &[
            Met::StatusConflict,
            Met::DeviceConflict,
            Met::ConflictResolved,
            Met::EpochContended,
            Met::Duplicate,
            Met::Busy,
            Met::BusyAfterCommit,
            Met::Twice,
            Met::TakenLate,
            Met::ResentSettled,
        ],
        ..scope("conflicts")
    }
}

/// One agent killed anywhere, with a disk that refuses, on a network that loses, replicas killed as well.
pub fn crashes() -> Scope {
    Scope {
        agents: vec![agent(0, &[0, 0])],
        budget: Budget {
            crashes: 1,
            refusals: 1,
            losses: 1,
            kills: 1,
            ..Budget::default()
        },
        meets: &[
            Met::CrashAfterAppend,
            Met::CrashOfferedUnsent,
            Met::CrashAwaiting,
            Met::CrashBeforeSettle,
            Met::CrashAfterSettle,
            Met::SettleRefused,
            Met::KilledAfterHistory,
            Met::TakenLate,
        ],
        ..scope("crashes")
    }
}

/// One agent whose database is replaced by an older copy, and whose queue is purged.
pub fn rollback() -> Scope {
    Scope {
        agents: vec![agent(0, &[0, 0])],
        batch_rows: 1,
        budget: Budget {
            images: 1,
            purges: 1,
            heartbeats: 1,
            ..Budget::default()
        },
        meets: &[
            Met::Restored,
            Met::SignNextSequence,
            Met::SignSilence,
            Met::SignNeverOffered,
            Met::GapDelivered,
        ],
        ..scope("rollback")
    }
}

/// Clones whose new instances meet crashes and a disk that refuses.
pub fn renewals() -> Scope {
    Scope {
        agents: vec![agent(0, &[0]), agent(0, &[0])],
        budget: Budget {
            crashes: 1,
            refusals: 1,
            ..Budget::default()
        },
        meets: &[
            Met::CrashAfterRenew,
            Met::RenewRefused,
            Met::SignSilence,
            Met::JoinLost,
        ],
        ..scope("renewals")
    }
}

/// Clones at a Device that is deleted: epochs are handed out anew.
pub fn epochs() -> Scope {
    Scope {
        agents: vec![agent(0, &[0]), agent(0, &[0])],
        budget: Budget {
            deletions: 1,
            ..Budget::default()
        },
        meets: &[Met::EpochContended, Met::RegisteredAgain],
        ..scope("epochs")
    }
}

/// Clones at a gateway that remembers one instance of a device.
pub fn forgotten() -> Scope {
    Scope {
        agents: vec![agent(0, &[0, 0]), agent(0, &[0])],
        policy: Policy {
            instances_kept: 1,
            ..policy()
        },
        meets: &[Met::Forgotten],
        ..scope("forgotten")
    }
}

/// A device that is blocked and let in again, at replicas whose caches lag.
pub fn blocking() -> Scope {
    Scope {
        agents: vec![agent(0, &[0])],
        budget: Budget {
            blocks: 1,
            lags: 1,
            impatience: 1,
            ..Budget::default()
        },
        meets: &[Met::Blocked, Met::StaleRead],
        ..scope("blocking")
    }
}

/// Two devices; one reports on a process of the other, and processes are bound elsewhere.
pub fn binding() -> Scope {
    Scope {
        agents: vec![agent(0, &[0, 1]), agent(1, &[1])],
        bindings: vec![0, 1],
        budget: Budget {
            rebinds: 1,
            lost_answers: 1,
            ..Budget::default()
        },
        meets: &[
            Met::DeadLetter,
            Met::Forbidden,
            Met::RefusedAmongSettled,
            Met::BoundAwayInWork,
            Met::SettledBefore,
        ],
        ..scope("binding")
    }
}

/// A queue of one row, restored and lossy.
pub fn overflow() -> Scope {
    Scope {
        agents: vec![agent(0, &[0, 0, 0])],
        queue: queue::Limits { max_rows: 1, ..ROOMY },
        budget: Budget {
            images: 1,
            ..Budget::default()
        },
        meets: &[Met::Dropped, Met::GapDelivered, Met::GapRenumbered],
        ..scope("overflow")
    }
}

/// Two reports of one device at one replica, which writes through a queue; another controller, and an API server that
/// fails.
pub fn folding() -> Scope {
    Scope {
        agents: vec![agent(0, &[0, 0])],
        queued_writes: true,
        budget: Budget {
            impatience: 1,
            foreign_writes: 1,
            lost_answers: 1,
            ..Budget::default()
        },
        meets: &[
            Met::StatusConflict,
            Met::ConflictResolved,
            Met::BusyAfterCommit,
            Met::Duplicate,
            Met::Folded,
            Met::CarriedOver,
            Met::KnownWithoutRequest,
        ],
        ..scope("folding")
    }
}

/// All scopes.
pub fn all() -> Vec<Scope> {
    vec![
        clones(),
        conflicts(),
        crashes(),
        rollback(),
        renewals(),
        epochs(),
        forgotten(),
        blocking(),
        binding(),
        overflow(),
        folding(),
    ]
}
