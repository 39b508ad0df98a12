//! The device side: HTTP/3 over QUIC with mutual TLS, bounded everywhere ([`limits`]).

use std::sync::Arc;

use apollo_gateway_core::admission::Admission;
use apollo_wire::UnixMillis;
use quinn::Endpoint;
use tokio::task::JoinSet;

use crate::{api::Api, events, lifecycle::Lifecycle, metrics::Metrics, store::Store, tls::reload::Current};

pub mod bind;
pub mod caller;
pub mod connection;
pub mod guard;
pub mod identity;
mod in_work;
pub mod limits;
pub mod load;
pub mod meter;
mod request;

/// What every connection needs.
pub struct Shared<S> {
    /// Answers requests.
    pub api: Api<S>,
    /// TLS settings in force.
    pub tls: Current,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Serving or draining.
    pub lifecycle: Lifecycle,
    /// The wall clock.
    pub clock: fn() -> UnixMillis,
    /// How busy the listeners are.
    pub load: load::Load,
}

/// Accepts connections on one endpoint until a drain has begun and those that are open have ended. While it drains,
/// newcomers are refused at once, so that they try another gateway instead of waiting for a timeout. No error of a
/// single peer ends it.
pub async fn run<S: Store>(endpoint: Endpoint, shared: Arc<Shared<S>>) {
    let mut open = JoinSet::new();
    let mut draining = false;
    while !(draining && open.is_empty()) {
        // Cancel-safe: accept() hands over a connection or nothing, join_next() and draining() only wait.
        tokio::select! {
            incoming = endpoint.accept() => match incoming {
                Some(incoming) => admit(incoming, &shared, &mut open),
                None => break,
            },
            Some(_) = open.join_next(), if !open.is_empty() => {}
            () = shared.lifecycle.draining(), if !draining => draining = true,
        }
    }
}

fn admit<S: Store>(incoming: quinn::Incoming, shared: &Arc<Shared<S>>, open: &mut JoinSet<()>) {
    let (from, validated) = (
        incoming.remote_address().ip(),
        incoming.remote_address_validated(),
    );
    match shared
        .load
        .decide(from, validated, shared.lifecycle.is_draining())
    {
        Ok(counted) => {
            // A first packet that is no handshake: nothing to tell anybody.
            let Some(begun) = connection::begin(incoming) else {
                return;
            };
            open.spawn(connection::serve(begun, shared.clone(), counted));
        }
        Err(Admission::Retry) => {
            // Refused only if this was already a retry; then it is simply dropped.
            let _ = incoming.retry();
        }
        Err(Admission::Ignore) => incoming.ignore(),
        Err(Admission::Refuse | Admission::Accept) => {
            events::ConnectionRefused.emit();
            incoming.refuse();
        }
    }
}
