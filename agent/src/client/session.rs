//! A connection to a gateway that speaks HTTP/3, kept between exchanges.

use std::time::Duration;

use bytes::Bytes;
use h3::{client::SendRequest, error::Code};
use quinn::{Connection, Endpoint, ZeroRttAccepted};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{
    call::{Answer, Call, CallError},
    limits::ClientLimits,
};

/// Longest header block accepted, bytes: a status, an ETag and Retry-After need fewer than a hundred.
const HEADER_BYTES: u64 = 4096;
/// How often a running exchange is looked at. Looking costs no bytes; it bounds what a hostile peer can pour in between.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

/// The two calls of one exchange.
pub(super) struct Calls {
    pub(super) report: Call,
    pub(super) poll: Option<Call>,
}

/// The results of one exchange.
pub(super) struct Answers {
    pub(super) report: Result<Answer, CallError>,
    pub(super) poll: Option<Result<Answer, CallError>>,
}

impl Answers {
    /// Whether the gateway answered anything: then the connection is good, whatever the answer.
    pub(super) fn any(&self) -> bool {
        let usable = |result: &Result<Answer, CallError>| {
            !matches!(result, Err(CallError::Silent | CallError::Broken(_)))
        };
        usable(&self.report) || self.poll.as_ref().is_some_and(usable)
    }
}

/// A connection and its HTTP/3 client. Dropping it closes the connection.
pub(super) struct Session {
    /// The socket; the connection is alone on it.
    endpoint: Endpoint,
    connection: Connection,
    requests: SendRequest<h3_quinn::OpenStreams, Bytes>,
    /// Reads the gateway's control streams.
    control: JoinHandle<()>,
    /// Until it is known whether the gateway takes early data.
    early: Option<ZeroRttAccepted>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.control.abort();
        self.connection.close(h3_code(Code::H3_NO_ERROR), b"");
    }
}

impl Session {
    /// Starts HTTP/3 on a connection, `within` a time; `early` if its handshake is not complete.
    pub(super) async fn new(
        endpoint: Endpoint,
        connection: Connection,
        early: Option<ZeroRttAccepted>,
        within: Duration,
    ) -> Result<Self, StartError> {
        let (requests, control) = start(&connection, within).await?;
        Ok(Self {
            endpoint,
            connection,
            requests,
            control,
            early,
        })
    }

    /// Closes the connection and waits, at most `within`, until the datagram that says so has left.
    pub(super) async fn close(self, within: Duration) {
        let endpoint = self.endpoint.clone();
        drop(self);
        let _ = timeout(within, endpoint.wait_idle()).await;
    }

    /// The connection below.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether the connection is still there, as far as this side knows.
    pub(super) fn is_open(&self) -> bool {
        self.connection.close_reason().is_none() && !self.control.is_finished()
    }

    /// Sends both requests at once and waits for the answers, within the limits. `calls` is asked again if the gateway
    /// refuses early data: nothing of it was processed then, and HTTP/3 has to start anew on the same connection.
    pub(super) async fn exchange(&mut self, calls: impl Fn() -> Calls, limits: &ClientLimits) -> Answers {
        let answers = self.attempt(calls(), limits).await;
        let Some(early) = self.early.take() else {
            return answers;
        };
        if answers.any() {
            return answers;
        }
        let refused = matches!(timeout(limits.connect_timeout, early).await, Ok(false));
        if !refused || self.connection.close_reason().is_some() {
            return answers;
        }
        tracing::debug!("the gateway refused early data");
        // The old client must be gone first: its reader would close the connection with the last handle.
        self.control.abort();
        let _ = (&mut self.control).await;
        match start(&self.connection, limits.connect_timeout).await {
            Ok((requests, control)) => {
                (self.requests, self.control) = (requests, control);
                self.attempt(calls(), limits).await
            }
            Err(_) => answers,
        }
    }

    async fn attempt(&mut self, mut calls: Calls, limits: &ClientLimits) -> Answers {
        let requests = &self.requests;
        let work = async {
            let report = calls.report.run(requests.clone());
            let poll = async {
                if let Some(poll) = &mut calls.poll {
                    poll.run(requests.clone()).await;
                }
            };
            tokio::join!(report, poll);
        };
        watch(&self.connection, limits, work).await;
        Answers {
            report: calls.report.finish(),
            poll: calls.poll.map(Call::finish),
        }
    }
}

/// Why a connection cannot be used for requests.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// It broke.
    #[error("HTTP/3 cannot start")]
    Broken(#[from] h3::error::ConnectionError),
    /// The gateway grants fewer streams than HTTP/3 needs.
    #[error("HTTP/3 did not start within {}: the gateway grants no streams", humantime::format_duration(*.within))]
    NoStreams {
        /// How long it was waited for.
        within: Duration,
    },
}

type Started = (SendRequest<h3_quinn::OpenStreams, Bytes>, JoinHandle<()>);

/// Opens the three streams of HTTP/3 (RFC 9114, section 6.2). A gateway that grants fewer makes that wait for as long as
/// the connection lives, which is hours: hence the time.
async fn start(connection: &Connection, within: Duration) -> Result<Started, StartError> {
    let mut builder = h3::client::builder();
    builder.send_grease(false).max_field_section_size(HEADER_BYTES);
    let transport = h3_quinn::Connection::new(connection.clone());
    let (mut driver, requests) = timeout(within, builder.build::<_, _, Bytes>(transport))
        .await
        .map_err(|_| StartError::NoStreams { within })??;
    let control = tokio::spawn(async move {
        let reason = std::future::poll_fn(|cx| driver.poll_close(cx)).await;
        tracing::debug!(%reason, "the connection is over");
    });
    Ok((requests, control))
}

/// Polls `work` until it is done, the gateway has been silent for too long, the time is up, or more came in than all
/// replies together may have.
async fn watch(connection: &Connection, limits: &ClientLimits, work: impl Future<Output = ()>) {
    let mut work = std::pin::pin!(work);
    let mut ticks = interval(WATCH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let started = Instant::now();
    let bytes_before = connection.stats().udp_rx.bytes;
    let mut heard = (connection.stats().udp_rx.datagrams, started);
    loop {
        tokio::select! {
            biased;
            // Polled by reference: losing the race loses nothing.
            () = &mut work => return,
            // Cancel-safe: a tick not taken stays due.
            _ = ticks.tick() => {}
        }
        let received = connection.stats().udp_rx;
        if received.datagrams != heard.0 {
            heard = (received.datagrams, Instant::now());
        }
        if received.bytes.saturating_sub(bytes_before) > limits.received_bytes() {
            connection.close(
                h3_code(Code::H3_EXCESSIVE_LOAD),
                b"more than all replies may have",
            );
            return;
        }
        if heard.1.elapsed() > limits.silence_at(connection.rtt())
            || started.elapsed() > limits.exchange_timeout
        {
            return;
        }
    }
}

/// A code of HTTP/3 for closing a QUIC connection.
fn h3_code(code: Code) -> quinn::VarInt {
    quinn::VarInt::from_u64(code.value()).unwrap_or(quinn::VarInt::MAX)
}
