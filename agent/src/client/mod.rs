//! The HTTP/3 client: carries reports and polls to a gateway over one QUIC connection that it keeps as long as it can.
//!
//! - [`identity`]: certificates, key, and the one TLS configuration of the process;
//! - [`gateway_url`]: where a gateway is;
//! - [`endpoint`], [`socket`]: QUIC tuned for few bytes, and the count of those bytes;
//! - [`dial`]: name resolution, address selection, handshake, early data;
//! - [`session`], [`call`]: requests on a connection, bounded in time and size;
//! - [`reply`]: what an answer means.
//!
//! One exchange is a report and a conditional poll, sent together in one datagram where they fit, answered in one round
//! trip on a kept connection. Requests carry no header but `if-none-match`: no content type means the binary form.

mod call;
mod dial;
mod endpoint;
mod gateway_url;
mod identity;
mod limits;
pub mod reply;
mod session;
mod socket;

use std::time::Duration;

use apollo_agent_core::engine::{DesiredOutcome, Failure, FailureKind};
use apollo_wire::Verdicts;
use bytes::Bytes;
use http::{Request, header::IF_NONE_MATCH};
use quinn::crypto::rustls::NoInitialCipherSuite;

use call::Call;
pub use call::{Answer, CallError};
use dial::{Dialer, Gateway};
pub use gateway_url::{GatewayUrl, GatewayUrlError};
pub use identity::{Identity, IdentityError, IdentityFiles};
pub use limits::ClientLimits;
use session::{Answers, Calls, Session};
pub use socket::{IpBytes, Traffic};

/// How long closing may take: one datagram has to leave, nobody waits for an answer to it.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// What to send.
pub struct ExchangeRequest {
    /// Encodes the report. Asked when a connection is ready, and again when another one has to be tried, so that the
    /// send time in the report is true.
    pub report: Box<dyn Fn() -> Bytes + Send + Sync>,
    /// Whether to ask for the desired state, too.
    pub poll: Option<Poll>,
}

/// A poll of the desired state.
#[derive(Debug, Clone, Default)]
pub struct Poll {
    /// The ETag of the stored document: the gateway answers 304 while it is current.
    pub etag: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct ExchangeReply {
    /// The verdicts on the report.
    pub report: Result<Verdicts, Failure>,
    /// The answer to the poll.
    pub desired: DesiredOutcome,
}

impl ExchangeReply {
    fn failed(failure: Failure) -> Self {
        Self {
            report: Err(failure),
            desired: DesiredOutcome::NotAsked,
        }
    }
}

/// What clients are made from. All of one factory share the TLS configuration with its session tickets.
#[derive(Debug, Clone)]
pub struct ClientFactory {
    gateways: Vec<GatewayUrl>,
    quic: quinn::ClientConfig,
    limits: ClientLimits,
    traffic: Traffic,
}

impl ClientFactory {
    /// A factory of clients for gateways in order of preference, with the device's identity.
    ///
    /// # Errors
    /// Only if the TLS provider lacks the cipher suite QUIC starts with, which ring does not.
    pub fn new(
        gateways: Vec<GatewayUrl>,
        identity: &Identity,
        limits: ClientLimits,
    ) -> Result<Self, NoInitialCipherSuite> {
        let quic = endpoint::client_config(identity)?;
        Ok(Self {
            gateways,
            quic,
            limits,
            traffic: Traffic::default(),
        })
    }

    /// What all its clients count into.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// A client. Opens nothing yet.
    #[must_use]
    pub fn client(&self) -> Client {
        let gateways = self
            .gateways
            .iter()
            .map(|url| Gateway {
                url: url.clone(),
                address: None,
            })
            .collect();
        let dialer = Dialer::new(self.quic.clone(), self.limits, self.traffic.clone());
        Client {
            gateways,
            current: 0,
            dialer,
            limits: self.limits,
            kept: None,
        }
    }
}

/// The client. One exchange at a time.
pub struct Client {
    gateways: Vec<Gateway>,
    /// Position of the gateway in use.
    current: usize,
    dialer: Dialer,
    limits: ClientLimits,
    kept: Option<Session>,
}

impl Client {
    /// Sends a report and perhaps a poll. Goes on with the kept connection; where that is gone, or silent, it opens a
    /// new one, with each gateway in turn. A silent connection is kept until a new one has answered: when the link
    /// comes back, going on with it is ten times cheaper.
    ///
    /// Never fails as a whole: what happened is in the reply. Ends within the bounds of [`ClientLimits`].
    pub async fn exchange(&mut self, request: &ExchangeRequest) -> ExchangeReply {
        let mut silent = None;
        if let Some(session) = self.kept.take().filter(Session::is_open) {
            match self.try_session(session, request).await {
                Tried::Answered(session, reply) => return self.keep(session, reply),
                Tried::Silent(session, _) => silent = Some(session),
                Tried::Broken(_) => {}
            }
        }
        let mut reply =
            ExchangeReply::failed(Failure::new(FailureKind::Unreachable, "no gateway is configured"));
        for _ in 0..self.gateways.len() {
            match self.try_current(request).await {
                Tried::Answered(session, reply) => return self.keep(session, reply),
                Tried::Silent(_, failed) | Tried::Broken(failed) => reply = failed,
            }
            self.rotate();
        }
        self.kept = silent;
        reply
    }

    async fn try_current(&mut self, request: &ExchangeRequest) -> Tried {
        let Some(gateway) = self.gateways.get_mut(self.current) else {
            return Tried::Broken(ExchangeReply::failed(Failure::new(
                FailureKind::Unreachable,
                "no gateway",
            )));
        };
        match self.dialer.dial(gateway).await {
            Ok(session) => self.try_session(session, request).await,
            Err(failure) => Tried::Broken(ExchangeReply::failed(failure)),
        }
    }

    async fn try_session(&mut self, mut session: Session, request: &ExchangeRequest) -> Tried {
        let Some(gateway) = self.gateways.get(self.current) else {
            return Tried::Broken(ExchangeReply::failed(Failure::new(
                FailureKind::Unreachable,
                "no gateway",
            )));
        };
        let (url, limits) = (&gateway.url, &self.limits);
        let answers = session.exchange(|| calls(url, request, limits), limits).await;
        let (answered, silent) = (answers.any(), matches!(answers.report, Err(CallError::Silent)));
        let closed = session.connection().close_reason();
        let mut reply = read(url, answers);
        if let (false, Some(reason)) = (answered, &closed) {
            reply = ExchangeReply::failed(dial::failure(url, reason));
        }
        match (answered, silent && closed.is_none()) {
            (true, _) => Tried::Answered(session, reply),
            (false, true) => Tried::Silent(session, reply),
            (false, false) => Tried::Broken(reply),
        }
    }

    fn keep(&mut self, session: Session, reply: ExchangeReply) -> ExchangeReply {
        let overloaded = |failure: &Failure| matches!(failure.kind, FailureKind::Status(429 | 500..=599));
        if self.gateways.len() > 1 && reply.report.as_ref().is_err_and(overloaded) {
            self.rotate();
        } else {
            self.kept = Some(session);
        }
        reply
    }

    fn rotate(&mut self) {
        self.current = (self.current + 1) % self.gateways.len().max(1);
    }

    /// Closes the connection and waits a moment until the datagram that says so has left.
    pub async fn close(self) {
        if let Some(session) = self.kept {
            session.close(CLOSE_TIMEOUT).await;
        }
    }
}

/// How an exchange on one connection went.
enum Tried {
    /// The gateway answered something.
    Answered(Session, ExchangeReply),
    /// Nothing came back, but the connection may still live.
    Silent(Session, ExchangeReply),
    /// There is no connection (any more).
    Broken(ExchangeReply),
}

fn calls(url: &GatewayUrl, request: &ExchangeRequest, limits: &ClientLimits) -> Calls {
    let post = Request::post(format!("{url}/v1/report")).body(());
    let poll = request.poll.as_ref().map(|poll| {
        let get = Request::get(format!("{url}/v1/desired"));
        match &poll.etag {
            Some(etag) => get.header(IF_NONE_MATCH, etag),
            None => get,
        }
        .body(())
    });
    // Both are made of a checked URL and of an ETag that was a header once, so neither can be invalid; a request
    // without an address would be answered with 400 at worst.
    Calls {
        report: Call::new(
            post.unwrap_or_default(),
            (request.report)(),
            limits.verdicts_bytes,
        ),
        poll: poll.map(|get| Call::new(get.unwrap_or_default(), Bytes::new(), limits.desired_bytes)),
    }
}

fn read(url: &GatewayUrl, answers: Answers) -> ExchangeReply {
    ExchangeReply {
        report: reply::verdicts(url, answers.report),
        desired: answers
            .poll
            .map_or(DesiredOutcome::NotAsked, |answer| reply::desired(url, answer)),
    }
}
