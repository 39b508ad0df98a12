//! queues, reports, retries and lists keep their bounds.

use apollo_gateway_core::policy::Policy;
use apollo_wire::limits;

use super::{Checker, Verdict, hold};
use crate::{
    facts::{Fact, TimedFact},
    gateway,
    plan::Sizes,
};

/// The bounds of this world.
pub(super) struct Bounds {
    queue_rows: u64,
    batch_rows: usize,
    policy: Policy,
}

impl Bounds {
    pub(super) fn of(sizes: &Sizes) -> Self {
        Self {
            queue_rows: sizes.queue_rows,
            batch_rows: usize::try_from(sizes.batch_rows).unwrap_or(usize::MAX),
            policy: gateway::policy(sizes),
        }
    }
}

impl Checker for Bounds {
    fn on_fact(&mut self, fact: &TimedFact) -> Verdict {
        match &fact.fact {
            Fact::Queue(transaction) => {
                let fits = transaction.pending <= self.queue_rows && transaction.gaps.len() <= limits::GAPS;
                hold(fits, "R-12", fact.at_ms, || {
                    format!("machine {}: the queue is over its bound", transaction.machine)
                })
            }
            Fact::Reported { machine, rows, .. } => {
                hold(*rows <= self.batch_rows, "R-12", fact.at_ms, || {
                    format!("machine {machine}: a report of {rows} rows")
                })
            }
            Fact::MachineEnded { requests, writes } => {
                // Three writes (epoch, statuses, Device) and nine requests without a conflict; each conflict costs an
                // attempt, which is at most two reads and a write.
                let retries = self.policy.cas_attempts - 1;
                let fits = *writes <= retries + 3 && *requests <= 3 * retries + 9;
                hold(fits, "R-12", fact.at_ms, || {
                    format!("{requests} requests with {writes} writes for one exchange")
                })
            }
            Fact::DeviceChanged {
                after: Some(after), ..
            } => {
                let fits = after.status.instances.len() <= self.policy.instances_kept;
                hold(fits, "R-12", fact.at_ms, || {
                    format!(
                        "{} remembers {} instances",
                        after.device,
                        after.status.instances.len()
                    )
                })
            }
            _ => Ok(()),
        }
    }
}
