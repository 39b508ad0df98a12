//! A scope: who takes part, how often what may go wrong, and what is sabotaged.

use apollo_gateway_core::policy::Policy;
use apollo_twins::queue;

use crate::{met::Met, sabotage::Saboteur};

/// A small world to explore in full.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Its name.
    pub name: &'static str,
    /// The agents. Two of one device are clones: they start from one image.
    pub agents: Vec<AgentPlan>,
    /// For each process the device it is bound to; the first says who process 0 is bound to.
    pub bindings: Vec<usize>,
    /// Processes of observations that are on each device's image at the start.
    pub image: Vec<usize>,
    /// Replicas of the gateway, at most two.
    pub replicas: usize,
    /// The replicas are two reports in work at one replica, whose status writes go through one queue.
    pub queued_writes: bool,
    /// What may go wrong how often.
    pub budget: Budget,
    /// The gateway's numbers.
    pub policy: Policy,
    /// Most rows in a report.
    pub batch_rows: u32,
    /// How much an agent's queue holds.
    pub queue: queue::Limits,
    /// Who works against the rules.
    pub saboteur: Option<Saboteur>,
    /// What must happen in some state, or the search proves less than it seems to.
    pub meets: &'static [Met],
}

/// One agent.
#[derive(Debug, Clone)]
pub struct AgentPlan {
    /// Its device, by its certificate.
    pub device: usize,
    /// The processes it will observe something about, in this order.
    pub observes: Vec<usize>,
}

/// How often something may still happen. What is not here may happen any number of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Budget {
    /// Messages lost.
    pub losses: u8,
    /// Reports that reach a second replica as well (a replayed first flight).
    pub repeats: u8,
    /// Agents that give up although an answer may still come.
    pub impatience: u8,
    /// Reports sent again on a new connection within one exchange.
    pub resends: u8,
    /// Agents killed, at any moment, also right after a commit.
    pub crashes: u8,
    /// Disks of agents that refuse a write.
    pub refusals: u8,
    /// Store steps refused before anything is done.
    pub unavailable: u8,
    /// Store steps done, the answer lost.
    pub lost_answers: u8,
    /// Replicas killed in the middle of an exchange.
    pub kills: u8,
    /// Writes of another controller on a status.
    pub foreign_writes: u8,
    /// Copies taken of a queue database, to be restored later.
    pub images: u8,
    /// Queues purged by an operator.
    pub purges: u8,
    /// Devices blocked. Unblocking is free.
    pub blocks: u8,
    /// Processes bound to the other device.
    pub rebinds: u8,
    /// Devices deleted by an operator.
    pub deletions: u8,
    /// Calls of devices that have nothing to say.
    pub heartbeats: u8,
    /// Watch caches of replicas that begin to lag. Catching up is free.
    pub lags: u8,
}

impl Scope {
    /// Whether two agents share a device.
    pub fn has_clones(&self) -> bool {
        self.agents.len() == 2 && self.agents[0].device == self.agents[1].device
    }

    /// Whether a queue may turn out to be an old copy at all.
    pub fn may_renew(&self) -> bool {
        self.has_clones() || self.budget.images > 0
    }
}
