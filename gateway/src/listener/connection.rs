//! One connection from its first packet to its end.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    future::FutureExt,
    stream::{FuturesUnordered, StreamExt},
};
use tokio::time::Instant;

use super::{Shared, caller::Caller, guard, in_work::InWork, limits, load::Counted, request};
use crate::{events, store::Store};

type Http3 = h3::server::Connection<guard::Connection, Bytes>;

/// H3_NO_ERROR (RFC 9114, section 8.1).
const NO_ERROR: quinn::VarInt = quinn::VarInt::from_u32(0x100);

/// A connection whose first packet has been taken in, and nothing after it.
pub(super) struct Begun {
    connection: quinn::Connection,
    handshake: quinn::ZeroRttAccepted,
    resumed: bool,
}

/// Takes in the first packet; `None` if it is no handshake. Not in the connection's own task, which may run only after
/// the client's next packets have been taken in.
pub(super) fn begin(incoming: quinn::Incoming) -> Option<Begun> {
    // Requests in 0-RTT are answered at once: both routes are safe to be replayed (docs/api.md).
    let (connection, handshake) = incoming.accept().ok()?.into_0rtt().ok()?;
    // A stored session brings its certificate along; a full handshake has yet to ask for it.
    let resumed = connection.peer_identity().is_some();
    Some(Begun {
        connection,
        handshake,
        resumed,
    })
}

/// Serves a connection until it ends, or until a drain has finished what was under way.
pub(super) async fn serve<S: Store>(begun: Begun, shared: Arc<Shared<S>>, counted: Counted) {
    let Begun {
        connection,
        handshake,
        resumed,
    } = begun;
    let mut builder = h3::server::builder();
    builder
        .send_grease(false)
        .max_field_section_size(limits::FIELD_SECTION_BYTES);
    // Opens our control streams; a peer that allows none would keep us waiting for ever.
    let building = builder.build(guard::Connection::new(connection.clone()));
    let Ok(Ok(http3)) = tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, building).await else {
        connection.close(NO_ERROR, b"no control streams");
        return;
    };
    let session = Session {
        caller: Arc::new(Caller::new(connection.clone(), shared.tls.clone())),
        connection,
        shared,
        resumed,
        early: false,
        established: false,
        counted,
    };
    session.run(http3, handshake).await;
}

struct Session<S> {
    connection: quinn::Connection,
    caller: Arc<Caller>,
    shared: Arc<Shared<S>>,
    resumed: bool,
    /// A request came before the handshake was over.
    early: bool,
    established: bool,
    counted: Counted,
}

impl<S: Store> Session<S> {
    async fn run(mut self, mut http3: Http3, mut handshake: quinn::ZeroRttAccepted) {
        let lifecycle = self.shared.lifecycle.clone();
        let handshake_deadline = Instant::now() + limits::HANDSHAKE_TIMEOUT;
        let mut going_away = false;
        let in_work = InWork::default();
        // At most [`limits::REQUEST_STREAMS`]: a stream counts until it is let go of. They are polled here and not spawned:
        // quinn sends from a task of its own, so answers that are written in one go of this task share a datagram.
        let mut requests = FuturesUnordered::new();
        loop {
            let linger = self.linger();
            // Every branch is cancel-safe: futures that wait, h3's poll-based accept, and a stream. In this
            // order, so that all requests of a datagram are known before any of them is answered.
            tokio::select! {
                biased;
                _ = &mut handshake, if !self.established => {
                    if !self.on_handshake_over() {
                        return;
                    }
                }
                () = tokio::time::sleep_until(handshake_deadline), if !self.established => {
                    self.connection.close(NO_ERROR, b"handshake timeout");
                    return;
                }
                accepted = http3.accept() => match accepted {
                    Ok(Some(resolver)) => {
                        // The handshake may be over and only not have been looked at: such a request is not early.
                        let over = !self.established && (&mut handshake).now_or_never().is_some();
                        if over && !self.on_handshake_over() {
                            return;
                        }
                        self.early |= !self.established;
                        requests.push(request::serve(
                            resolver,
                            self.caller.clone(),
                            self.shared.clone(),
                            &in_work,
                            in_work.enter(),
                        ));
                    }
                    // The peer has gone, or has said so and nothing is left to do.
                    Ok(None) | Err(_) => break,
                },
                () = lifecycle.draining(), if !going_away => {
                    going_away = true;
                    if http3.shutdown(limits::GOAWAY_GRACE_REQUESTS).await.is_err() {
                        break;
                    }
                }
                Some(()) = requests.next(), if !requests.is_empty() => {}
                () = tokio::time::sleep(linger), if going_away && requests.is_empty() => break,
            }
        }
        // Running requests end: they notice by themselves that the peer has gone.
        while requests.next().await.is_some() {}
        self.connection.close(NO_ERROR, b"");
    }

    /// The handshake is over; whether there is a connection.
    fn on_handshake_over(&mut self) -> bool {
        self.established = true;
        if self.connection.close_reason().is_some() {
            return false;
        }
        self.counted.established();
        let kind = match (self.resumed, self.early) {
            (true, true) => "early",
            (true, false) => "resumed",
            (false, _) => "full",
        };
        events::HandshakeFinished { kind }.emit(&self.shared.metrics);
        true
    }

    /// Time for the last answer to reach the peer and be acknowledged.
    fn linger(&self) -> Duration {
        limits::LINGER.max(self.connection.rtt() * 2)
    }
}
