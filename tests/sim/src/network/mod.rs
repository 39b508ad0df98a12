//! Links between machines and gateways: what is sent is sent again until it arrives or the sender gives up, as QUIC does.

mod links;

use rand::Rng;

use crate::{
    facts::{MachineId, ReplicaId},
    plan::{Disturbance, Millis},
    world::{Context, Event, Life},
};

/// When a lost message is sent again, counted from the one before. Together they stay below the silence after which an
/// agent gives up.
const AGAIN_AFTER_MS: [Millis; 3] = [1_000, 2_000, 4_000];

/// One message, whole: what QUIC delivers in order and complete is not taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The machine at one end.
    pub machine: MachineId,
    /// The life of its agent.
    pub agent_life: Life,
    /// The replica at the other end.
    pub replica: ReplicaId,
    /// The life of the gateway that the connection is with; none before there is one.
    pub gateway_life: Option<Life>,
    /// The agent's attempt it belongs to.
    pub attempt: u64,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The first flight of a handshake.
    Hello,
    /// Its answer.
    Welcome,
    /// `POST /v1/report`.
    Report(Vec<u8>),
    /// `GET /v1/desired`.
    Poll {
        /// `If-None-Match`.
        etag: Option<String>,
    },
    /// The answer to a report.
    ReportAnswer(Answer),
    /// The answer to a poll.
    PollAnswer(Answer),
    /// The gateway knows no such connection.
    Reset,
}

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Retry-After`, seconds.
    pub retry_after_s: Option<u64>,
    /// `ETag`.
    pub etag: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Message {
    /// Whether it is for a gateway.
    pub fn goes_up(&self) -> bool {
        matches!(self.body, Body::Hello | Body::Report(_) | Body::Poll { .. })
    }

    /// An answer to this message.
    pub fn answer(&self, gateway_life: Life, body: Body) -> Self {
        Self {
            gateway_life: Some(gateway_life),
            body,
            ..self.clone()
        }
    }
}

/// Sends a message.
pub fn send(context: &mut Context, message: Message) {
    transmit(context, message, 0);
}

/// Sends a message for the first time (`sent_before` is 0) or again.
pub fn transmit(context: &mut Context, message: Message, sent_before: u32) {
    let lost = links::is_cut(context, &message) || links::is_lost(context, &message);
    if lost {
        let again = AGAIN_AFTER_MS.get(usize::try_from(sent_before).unwrap_or(usize::MAX));
        match again {
            Some(after_ms) => {
                context.count("network: message sent again");
                context.schedule(*after_ms, Event::Transmit(message, sent_before + 1));
            }
            None => context.count("network: message lost for good"),
        }
        return;
    }
    if let Some(late_ms) = duplicate(context, &message) {
        context.count("network: report duplicated");
        context.schedule(late_ms, Event::Arrive(message.clone()));
    }
    let delay_ms = links::delay(context, &message);
    context.schedule(delay_ms, Event::Arrive(message));
}

/// When a second copy of a report arrives, if there is one: 0-RTT data that was recorded and sent again.
fn duplicate(context: &mut Context, message: &Message) -> Option<Millis> {
    if !matches!(message.body, Body::Report(_)) {
        return None;
    }
    for disturbance in context.disturbances.values() {
        if let Disturbance::Duplication { percent, late_ms } = disturbance
            && context
                .chance
                .network
                .random_ratio(u32::from(*percent).min(100), 100)
        {
            return Some(context.chance.network.random_range(1..=(*late_ms).max(1)));
        }
    }
    None
}
