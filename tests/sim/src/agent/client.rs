//! One exchange over the network, as `apollo_agent::client` makes it: the kept connection first, then each gateway in turn.

use apollo_agent_core::engine::{
    self, DesiredOutcome, Exchanged, Failure, FailureKind, StartExchange, state::ExchangeId,
};
use apollo_twins::queue::Batch;
use apollo_wire::{Report, Sequence, Verdicts, binary};

use super::{Finished, Machine, Taken, reply};
use crate::{
    facts::{Fact, ReplicaId},
    network::{self, Body, Message},
    plan::Millis,
    world::{Context, Event, Life},
};

/// How long a connection may be silent before it is given up, and a handshake take.
const SILENCE_MS: Millis = 10_000;

/// What outlives an exchange.
#[derive(Debug)]
pub(super) struct Client {
    /// Position of the gateway in use.
    current: ReplicaId,
    kept: Option<Connection>,
    replicas: usize,
    attempts: u64,
}

/// A connection with one life of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Connection {
    replica: ReplicaId,
    life: Life,
}

/// An exchange under way.
#[derive(Debug)]
pub(super) struct Exchange {
    start: StartExchange,
    etag: Option<String>,
    batch: Option<(Taken, Batch, engine::Batch)>,
    /// Reports sent on connections so far.
    reports: u32,
    /// Gateways that may still be dialled.
    dials_left: usize,
    began_with_kept: bool,
    /// A kept connection that fell silent: it may live on.
    silent: Option<Connection>,
    connection: Option<Connection>,
    attempt: u64,
    report: Option<Result<Verdicts, Failure>>,
    desired: Option<DesiredOutcome>,
    last: Option<Failure>,
    heard_at_ms: Millis,
}

impl Client {
    pub(super) fn new(replicas: usize) -> Self {
        Self {
            current: 0,
            kept: None,
            replicas,
            attempts: 0,
        }
    }

    fn rotate(&mut self) {
        self.current = (self.current + 1) % self.replicas.max(1);
    }
}

impl Exchange {
    pub(super) fn new(start: StartExchange, etag: Option<String>) -> Self {
        Self {
            start,
            etag,
            batch: None,
            reports: 0,
            dials_left: 0,
            began_with_kept: false,
            silent: None,
            connection: None,
            attempt: 0,
            report: None,
            desired: None,
            last: None,
            heard_at_ms: 0,
        }
    }

    pub(super) fn id(&self) -> ExchangeId {
        self.start.id
    }

    pub(super) fn begin(&mut self, taken: Taken, batch: Batch, facts: engine::Batch) {
        self.batch = Some((taken, batch, facts));
    }

    /// What a report says was offered before it: a second one within the exchange counts the batch as offered.
    fn offered(&self) -> Sequence {
        let Some((_, batch, _)) = &self.batch else {
            return 0;
        };
        match (self.reports, batch.range()) {
            (2.., Some(range)) => batch.offered_through.max(*range.end()),
            _ => batch.offered_through,
        }
    }

    fn is_answered(&self) -> bool {
        self.report.is_some() && (self.desired.is_some() || !self.start.poll)
    }
}

impl Machine {
    /// Begins the exchange's network part: on the kept connection, or by dialling.
    pub(super) fn dial_or_send(&mut self, context: &mut Context) {
        let Some(agent) = &mut self.agent else { return };
        let Some(exchange) = &mut agent.exchange else {
            return;
        };
        exchange.dials_left = agent.client.replicas;
        match agent.client.kept.take() {
            Some(kept) => {
                context.count("agent: exchange over a kept connection");
                exchange.began_with_kept = true;
                self.send_on(context, kept);
            }
            None => self.dial(context),
        }
    }

    fn dial(&mut self, context: &mut Context) {
        let Some(agent) = &mut self.agent else { return };
        let Some(exchange) = &mut agent.exchange else {
            return;
        };
        if exchange.dials_left == 0 {
            agent.client.kept = exchange.silent.take();
            context.count("agent: exchange without an answer");
            self.finish(context);
            return;
        }
        exchange.dials_left -= 1;
        exchange.connection = None;
        let replica = agent.client.current;
        self.next_attempt(context, replica, None, vec![Body::Hello]);
    }

    fn send_on(&mut self, context: &mut Context, connection: Connection) {
        let now = context.now;
        let sent_at = self.clock.read(now);
        let machine = self.id;
        let Some(exchange) = self.agent.as_mut().and_then(|agent| agent.exchange.as_mut()) else {
            return;
        };
        exchange.connection = Some(connection);
        (exchange.report, exchange.desired) = (None, None);
        exchange.reports += 1;
        let offered = exchange.offered();
        let Some((_, batch, _)) = &exchange.batch else {
            return;
        };
        let report = Report {
            next_contact_seconds: exchange.start.next_contact_seconds,
            queue: Some(batch.queue),
            agent_version: exchange.start.introduce.then(|| "1".to_owned()),
            gaps: batch.gaps.clone(),
            observations: batch.observations.clone(),
            offered_through: Some(offered),
            ..Report::empty(batch.instance, sent_at)
        };
        let frame = binary::encode_report(&report);
        let (rows, bytes) = (report.observations.len(), frame.len());
        let mut bodies = vec![Body::Report(frame)];
        if exchange.start.poll {
            let etag = exchange.etag.clone();
            bodies.push(Body::Poll { etag });
        }
        context.note(|| {
            format!(
                "machine {machine}: reports {rows} rows to gateway {}, offered through {offered}",
                connection.replica
            )
        });
        context.fact(Fact::Reported { machine, rows, bytes });
        self.next_attempt(context, connection.replica, Some(connection.life), bodies);
    }

    /// Sends under a number of its own, so that late answers to what was given up are told apart.
    fn next_attempt(
        &mut self,
        context: &mut Context,
        replica: ReplicaId,
        gateway_life: Option<Life>,
        bodies: Vec<Body>,
    ) {
        let (machine, agent_life) = (self.id, self.life);
        let Some(agent) = &mut self.agent else { return };
        agent.client.attempts += 1;
        let attempt = agent.client.attempts;
        if let Some(exchange) = &mut agent.exchange {
            exchange.attempt = attempt;
            exchange.heard_at_ms = context.now;
        }
        for body in bodies {
            let message = Message {
                machine,
                agent_life,
                replica,
                gateway_life,
                attempt,
                body,
            };
            network::send(context, message);
        }
        context.schedule(SILENCE_MS, Event::Silence(machine, agent_life, attempt));
    }

    /// A message of a gateway has arrived.
    pub fn on_message(&mut self, context: &mut Context, message: Message) {
        let now = context.now;
        let Some(exchange) = self.agent.as_mut().and_then(|agent| agent.exchange.as_mut()) else {
            return;
        };
        if exchange.attempt != message.attempt {
            return;
        }
        exchange.heard_at_ms = now;
        match message.body {
            Body::Welcome => {
                let life = message.gateway_life.unwrap_or(0);
                let replica = message.replica;
                self.send_on(context, Connection { replica, life });
            }
            Body::Reset => {
                context.count("network: connection reset");
                self.on_broken(
                    context,
                    FailureKind::Interrupted,
                    "the connection was reset",
                    false,
                );
            }
            Body::ReportAnswer(answer) => {
                exchange.report = Some(reply::verdicts(answer));
                self.on_answer(context);
            }
            Body::PollAnswer(answer) => {
                exchange.desired = Some(reply::desired(answer));
                self.on_answer(context);
            }
            Body::Hello | Body::Report(_) | Body::Poll { .. } => {}
        }
        self.pump(context);
    }

    fn on_answer(&mut self, context: &mut Context) {
        let is_answered = |exchange: &Exchange| exchange.is_answered();
        if self
            .agent
            .as_ref()
            .and_then(|agent| agent.exchange.as_ref())
            .is_some_and(is_answered)
        {
            self.on_answered(context);
        }
    }

    /// Nothing was heard for too long.
    pub fn on_silence(&mut self, context: &mut Context, attempt: u64) {
        let (id, life) = (self.id, self.life);
        let Some(exchange) = self.agent.as_mut().and_then(|agent| agent.exchange.as_mut()) else {
            return;
        };
        if exchange.attempt != attempt {
            return;
        }
        let silent_ms = context.now - exchange.heard_at_ms;
        if silent_ms < SILENCE_MS {
            context.schedule(SILENCE_MS - silent_ms, Event::Silence(id, life, attempt));
            return;
        }
        if exchange.report.is_some() || exchange.desired.is_some() {
            self.on_answered(context);
        } else if exchange.connection.is_some() {
            self.on_broken(context, FailureKind::Interrupted, "no answer in time", true);
        } else {
            self.on_broken(
                context,
                FailureKind::Unreachable,
                "no answer to the handshake",
                false,
            );
        }
        self.pump(context);
    }

    /// The gateway answered something: the connection is good.
    fn on_answered(&mut self, context: &mut Context) {
        let Some(agent) = &mut self.agent else { return };
        let Some(exchange) = &mut agent.exchange else {
            return;
        };
        let overloaded = |failure: &Failure| matches!(failure.kind, FailureKind::Status(429 | 500..=599));
        let is_overloaded = matches!(&exchange.report, Some(Err(failure)) if overloaded(failure));
        if agent.client.replicas > 1 && is_overloaded {
            agent.client.rotate();
        } else {
            agent.client.kept = exchange.connection;
        }
        self.finish(context);
    }

    fn on_broken(&mut self, context: &mut Context, kind: FailureKind, why: &str, may_live: bool) {
        let Some(agent) = &mut self.agent else { return };
        let Some(exchange) = &mut agent.exchange else {
            return;
        };
        exchange.last = Some(Failure::new(kind, why));
        (exchange.report, exchange.desired) = (None, None);
        if exchange.began_with_kept {
            exchange.began_with_kept = false;
            exchange.silent = exchange.connection.filter(|_| may_live);
        } else {
            agent.client.rotate();
        }
        self.dial(context);
    }

    /// The exchange is over: the driver is told.
    fn finish(&mut self, context: &mut Context) {
        let Some(agent) = &mut self.agent else { return };
        let Some(exchange) = agent.exchange.take() else {
            return;
        };
        let offered_through = exchange.offered();
        let (taken, facts) = match exchange.batch {
            Some((taken, _, facts)) => (Some(taken), Some(facts)),
            None => (None, None),
        };
        let silent = || Failure::new(FailureKind::Interrupted, "no answer in time");
        let any = exchange.report.is_some() || exchange.desired.is_some();
        let report = exchange
            .report
            .unwrap_or_else(|| Err(exchange.last.unwrap_or_else(silent)));
        let desired = match (exchange.desired, exchange.start.poll && any) {
            (Some(desired), _) => desired,
            (None, true) => DesiredOutcome::Failed(silent()),
            (None, false) => DesiredOutcome::NotAsked,
        };
        if let Err(Failure {
            kind: FailureKind::TooLarge,
            ..
        }) = &report
            && facts.is_some_and(|facts| facts.rows > 1)
        {
            context.count("agent: batch halved after 413");
        }
        agent.finished = Some(Finished {
            exchanged: Exchanged {
                id: exchange.start.id,
                batch: facts.map(|facts| engine::Batch {
                    offered_through,
                    ..facts
                }),
                report,
                desired,
            },
            taken,
        });
    }
}
