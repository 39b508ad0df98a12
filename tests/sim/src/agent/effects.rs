//! Performing what the engine asks for, and taking what the queue's thread has done.

use apollo_agent_core::engine::{
    DesiredOutcome, Effect, Event as EngineEvent, Exchanged, Failure, FailureKind, StartExchange,
};
use rand::Rng;

use super::{
    Finished, Machine, Taken,
    client::Exchange,
    disk::{Call, Done},
};
use crate::world::Context;

impl Machine {
    pub(super) fn perform(&mut self, context: &mut Context, effect: Effect) {
        let id = self.id;
        context.note(|| format!("machine {id}: engine asks to {}", describe(&effect)));
        let now = context.now;
        let Some(agent) = &mut self.agent else { return };
        match effect {
            Effect::StartExchange(start) => self.start_exchange(context, start),
            Effect::Settle { id, verdicts } => match agent.taken.take() {
                Some(taken) => self.wait_for(context, Call::Settle { id, taken, verdicts }),
                None => {
                    let message = "there is nothing to settle".to_owned();
                    self.tell(now, EngineEvent::SettleFailed { id, message });
                }
            },
            Effect::RenewInstance { id, .. } => {
                let new = super::machine::new_instance(context);
                self.wait_for(context, Call::Renew { id, new });
            }
            Effect::StoreDesired(document) => self.wait_for(context, Call::StoreDesired(document)),
            Effect::RecordStatus(status) => {
                if status.failure.is_some() {
                    agent.taken = None;
                    context.count("agent: exchange failed");
                } else {
                    context.count("agent: exchange succeeded");
                }
                self.wait_for(context, Call::Note);
            }
            Effect::RecordPlan(_) => self.wait_for(context, Call::Note),
            Effect::Stop => agent.stop.stopped = true,
        }
    }

    /// Hands the queue's thread a call of the driver's own, which waits for it.
    fn wait_for(&mut self, context: &mut Context, call: Call) {
        if let Some(agent) = &mut self.agent {
            agent.awaits_disk = true;
        }
        self.call(context, call);
    }

    fn start_exchange(&mut self, context: &mut Context, start: StartExchange) {
        let Some(agent) = &mut self.agent else { return };
        // Whatever was taken before is over.
        agent.taken = None;
        agent.exchange = Some(Exchange::new(start, agent.etag.clone()));
        self.call(context, Call::Take(start));
    }

    pub(super) fn on_done(&mut self, context: &mut Context, done: Done) {
        let now = context.now;
        let Some(agent) = &mut self.agent else { return };
        // The exchange is its own task: the driver does not wait for what it takes.
        agent.awaits_disk &= matches!(done, Done::Taken(_));
        match done {
            Done::Taken(taken) => self.on_taken(context, taken),
            Done::Settled {
                id,
                named,
                settled,
                pending,
            } => {
                if settled.is_some() {
                    self.tell(
                        now,
                        EngineEvent::Settled {
                            id,
                            settled: named,
                            pending,
                        },
                    );
                    self.note_depth(now, pending);
                } else {
                    let message = "the disk is full".to_owned();
                    self.tell(now, EngineEvent::SettleFailed { id, message });
                }
            }
            Done::Renewed { id, pending } => {
                agent.taken = None;
                match pending {
                    Some(pending) => self.tell(now, EngineEvent::Renewed { id, pending }),
                    None => {
                        let message = "the disk is full".to_owned();
                        self.tell(now, EngineEvent::RenewFailed { id, message });
                    }
                }
            }
            Done::Stored(Some(document)) => {
                agent.etag = document.etag;
                agent.supervision.order = Some(document.desired);
            }
            Done::Appended { refused, pending } => self.on_appended(now, refused, pending),
            Done::Looked { pending } => self.note_depth(now, pending),
            Done::Stored(None) | Done::Noted => {}
        }
    }

    fn on_taken(
        &mut self,
        context: &mut Context,
        taken: Option<(apollo_twins::queue::Batch, apollo_agent_core::engine::Batch)>,
    ) {
        let Some(agent) = &mut self.agent else { return };
        let Some(exchange) = &mut agent.exchange else {
            return;
        };
        match taken {
            Some((batch, facts)) => {
                let part = Taken {
                    instance: batch.instance,
                    gaps: batch.gaps.clone(),
                    sequences: batch.observations.iter().map(|row| row.seq).collect(),
                };
                exchange.begin(part, batch, facts);
                self.dial_or_send(context);
            }
            None => {
                let exchanged = Exchanged {
                    id: exchange.id(),
                    batch: None,
                    report: Err(Failure::new(FailureKind::Storage, "the disk is full")),
                    desired: DesiredOutcome::NotAsked,
                };
                agent.exchange = None;
                agent.finished = Some(Finished {
                    exchanged,
                    taken: None,
                });
            }
        }
    }
}

/// A seed for jitter.
pub(super) fn jitter_seed(context: &mut Context) -> u64 {
    context.chance.seeds.random()
}

fn describe(effect: &Effect) -> String {
    match effect {
        Effect::StartExchange(start) => {
            format!("start exchange {:?} with up to {} rows", start.id, start.max_rows)
        }
        Effect::Settle { verdicts, .. } => format!(
            "settle: epoch {}, highest {}, acked {:?}, rejected {:?}",
            verdicts.epoch,
            verdicts.highest_sequence,
            verdicts
                .acked
                .iter()
                .map(|range| (range.first, range.last))
                .collect::<Vec<_>>(),
            verdicts
                .rejected
                .iter()
                .map(|one| (one.seq, one.reason))
                .collect::<Vec<_>>()
        ),
        Effect::RenewInstance { why, .. } => format!("renew the instance: {why}"),
        Effect::StoreDesired(document) => {
            format!("store the desired state {:?}", document.etag)
        }
        Effect::RecordStatus(status) => match &status.failure {
            Some(failure) => format!("record a failure: {:?}, {}", failure.kind, failure.message),
            None => "record a success".to_owned(),
        },
        Effect::RecordPlan(_) => "record the plan".to_owned(),
        Effect::Stop => "stop".to_owned(),
    }
}
