//! The two routes of the device API, and connections as far as the world has them.

use apollo_gateway_core::{
    desired::{Fetch, Form},
    exchange::{Concluded, Exchange, Outcome},
};
use apollo_wire::{DeviceName, InstanceId, RejectReason, Report, binary};
use rand::Rng;

use super::{EXCHANGE_TIMEOUT_MS, REPORTS_PER_DEVICE, Replica, work::Work};
use crate::{
    facts::Fact,
    network::{self, Answer, Body, Message},
    world::{Context, Event},
};

/// `Retry-After` where there is no room (`gateway::service::slots`).
const FULL_RETRY_AFTER_S: u64 = 2;
/// `Retry-After` before the index is complete (`gateway::api::desired`).
const INDEX_RETRY_AFTER_S: u64 = 5;

impl Answer {
    fn status(status: u16) -> Self {
        Self {
            status,
            retry_after_s: None,
            etag: None,
            body: Vec::new(),
        }
    }

    fn retry_after(self, seconds: u64) -> Self {
        Self {
            retry_after_s: Some(seconds),
            ..self
        }
    }
}

impl Replica {
    /// A message of an agent whose certificate names `device` has arrived.
    pub fn on_message(&mut self, context: &mut Context, message: Message, device: &DeviceName) {
        if !self.is_up {
            return;
        }
        if message.gateway_life.is_some_and(|life| life != self.life) {
            self.answer(context, &message, Body::Reset);
            return;
        }
        match &message.body {
            Body::Hello => self.answer(context, &message, Body::Welcome),
            Body::Report(frame) => self.on_report(context, &message, device, frame),
            Body::Poll { etag } => {
                let answer = self.on_poll(context, device, etag.as_deref());
                self.answer(context, &message, Body::PollAnswer(answer));
            }
            Body::Welcome | Body::ReportAnswer(_) | Body::PollAnswer(_) | Body::Reset => {}
        }
    }

    fn answer(&self, context: &mut Context, to: &Message, body: Body) {
        network::send(context, to.answer(self.life, body));
    }

    fn on_report(&mut self, context: &mut Context, message: &Message, device: &DeviceName, frame: &[u8]) {
        let under_way = self.reports.entry(device.clone()).or_default();
        if *under_way >= REPORTS_PER_DEVICE {
            let answer = Answer::status(429).retry_after(FULL_RETRY_AFTER_S);
            return self.answer(context, message, Body::ReportAnswer(answer));
        }
        if frame.len() > self.max_body_bytes {
            context.count("gateway: 413");
            return self.answer(context, message, Body::ReportAnswer(Answer::status(413)));
        }
        let Ok(report) = binary::decode_report(frame) else {
            return self.answer(context, message, Body::ReportAnswer(Answer::status(400)));
        };
        *under_way += 1;
        self.begin_exchange(context, message, device, report);
    }

    fn begin_exchange(
        &mut self,
        context: &mut Context,
        message: &Message,
        device: &DeviceName,
        report: Report,
    ) {
        let instance = report.instance;
        let id = context.next_work();
        let now = self.wall(context.now);
        let seed = context.chance.store.random();
        let exchange = Exchange::new(device.clone(), report, now, self.policy, seed);
        context.fact(Fact::ExchangeBegun {
            exchange: id,
            device: device.clone(),
        });
        context.schedule(
            EXCHANGE_TIMEOUT_MS,
            Event::ExchangeTimeout(self.id, self.life, id),
        );
        let answer_to = Message {
            body: Body::Hello,
            ..message.clone()
        };
        let work = Work::exchange(exchange, device.clone(), instance, answer_to);
        self.begin(context, id, work);
    }

    /// An exchange has come to its end.
    pub(super) fn on_concluded(
        &mut self,
        context: &mut Context,
        id: u64,
        to: &Message,
        device: &DeviceName,
        instance: InstanceId,
        concluded: Concluded,
    ) {
        self.free_slot(device);
        count(context, &concluded);
        let answer = match concluded.outcome {
            Outcome::Settled { verdicts, forbidden } => {
                context.note(|| {
                    let acked: Vec<_> = verdicts.acked.iter().map(|one| (one.first, one.last)).collect();
                    let rejected: Vec<_> = verdicts.rejected.iter().map(|one| (one.seq, one.reason)).collect();
                    format!(
                        "gateway {}: exchange {id} ends: {device} epoch {}, highest {}, acked {acked:?}, rejected {rejected:?}",
                        self.id, verdicts.epoch, verdicts.highest_sequence
                    )
                });
                context.fact(Fact::Verdicts {
                    exchange: id,
                    device: device.clone(),
                    instance,
                    epoch: verdicts.epoch,
                    acked: verdicts.acked.clone(),
                    rejected: verdicts.rejected.clone(),
                    highest: verdicts.highest_sequence,
                });
                Answer {
                    body: binary::encode_verdicts(&verdicts),
                    ..Answer::status(if forbidden { 403 } else { 200 })
                }
            }
            Outcome::Refused(refusal) => {
                context.note(|| format!("gateway {}: exchange {id} is refused: {refusal}", self.id));
                Answer::status(403)
            }
            Outcome::Busy { retry_after } => {
                context.note(|| format!("gateway {}: exchange {id} ends busy", self.id));
                let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
                Answer::status(503).retry_after(seconds)
            }
        };
        match answer.status {
            403 => context.count("gateway: 403"),
            503 => context.count("gateway: 503"),
            _ => {}
        }
        self.answer(context, to, Body::ReportAnswer(answer));
    }

    /// An exchange has taken too long: it is dropped where it stands.
    pub fn on_exchange_timeout(&mut self, context: &mut Context, id: u64) {
        let Some((to, device)) = self.drop_exchange(id) else {
            return;
        };
        context.count("gateway: exchange timed out");
        context.count("gateway: 503");
        self.free_slot(&device);
        let answer = Answer::status(503).retry_after(FULL_RETRY_AFTER_S);
        self.answer(context, &to, Body::ReportAnswer(answer));
    }

    fn free_slot(&mut self, device: &DeviceName) {
        if let Some(under_way) = self.reports.get_mut(device) {
            *under_way = under_way.saturating_sub(1);
        }
    }

    fn on_poll(&self, context: &mut Context, device: &DeviceName, etag: Option<&str>) -> Answer {
        if !self.following.is_ready {
            return Answer::status(503).retry_after(INDEX_RETRY_AFTER_S);
        }
        match self.following.index.fetch(device, etag, Form::Binary) {
            Fetch::NotModified { etag } => {
                context.count("gateway: 304");
                Answer {
                    etag: Some(etag.as_str().to_owned()),
                    ..Answer::status(304)
                }
            }
            Fetch::Body { etag, body } => Answer {
                etag: Some(etag.as_str().to_owned()),
                body: body.to_vec(),
                ..Answer::status(200)
            },
        }
    }
}

fn count(context: &mut Context, concluded: &Concluded) {
    let effects = &concluded.effects;
    if effects.registered {
        context.count("gateway: device registered");
    }
    if effects.rolled_back {
        context.count("gateway: rolled-back device met");
    }
    if effects.gaps > 0 {
        context.count("gateway: gap taken into history");
    }
    if effects.process_writes.conflict + effects.device_writes.conflict > 0 {
        context.count("gateway: compare-and-swap lost");
    }
    let Outcome::Settled { verdicts, .. } = &concluded.outcome else {
        return;
    };
    if verdicts.duplicates > 0 {
        context.count("gateway: duplicate refused");
    }
    if verdicts.orphaned > 0 {
        context.count("gateway: orphan kept");
    }
    for rejection in &verdicts.rejected {
        context.count(match rejection.reason {
            RejectReason::NotBound => "gateway: process of another device refused",
            RejectReason::TimestampInFuture | RejectReason::TimestampTooOld => "gateway: time refused",
            RejectReason::Malformed => "gateway: malformed refused",
        });
    }
}
