//! From a gateway's address to a session with it.

use std::{collections::HashSet, io, net::SocketAddr, time::Duration};

use apollo_agent_core::engine::{Failure, FailureKind};
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint};
use tokio::{
    net::lookup_host,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    endpoint,
    gateway_url::GatewayUrl,
    limits::ClientLimits,
    session::Session,
    socket::{Family, Traffic},
};
use crate::exit::chain;

/// A gateway and the address of it that answered last.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) url: GatewayUrl,
    pub(super) address: Option<SocketAddr>,
}

/// Makes connections, each on a socket of its own: with empty connection IDs, those of one socket could only be told
/// apart by the peer's address, and a second connection to the same gateway would cut off the first.
#[derive(Debug)]
pub(super) struct Dialer {
    config: ClientConfig,
    limits: ClientLimits,
    traffic: Traffic,
}

impl Dialer {
    pub(super) fn new(config: ClientConfig, limits: ClientLimits, traffic: Traffic) -> Self {
        Self {
            config,
            limits,
            traffic,
        }
    }

    /// Connects. The address that answered last goes first and alone, with early data if a session ticket is there;
    /// else all addresses, each with a head start on the next.
    pub(super) async fn dial(&self, gateway: &mut Gateway) -> Result<Session, Failure> {
        let addresses = self.resolve(&gateway.url).await?;
        let known = gateway
            .address
            .take()
            .filter(|address| addresses.contains(address));
        let dialed = match known {
            Some(address) => self.resume(&gateway.url, address).await?,
            None => self.race(&gateway.url, addresses).await?,
        };
        gateway.address = Some(dialed.address);
        let within = self.limits.connect_timeout;
        Session::new(dialed.endpoint, dialed.connection, dialed.early, within)
            .await
            .map_err(|error| {
                let message = format!("{}: {}", gateway.url, chain(&error));
                Failure::new(FailureKind::Interrupted, message)
            })
    }

    async fn resolve(&self, url: &GatewayUrl) -> Result<Vec<SocketAddr>, Failure> {
        let unresolved = |why: &dyn std::fmt::Display| {
            let message = format!("{url}: the host name does not resolve: {why}");
            Failure::new(FailureKind::Unreachable, message)
        };
        let found = match timeout(self.limits.resolve_timeout, lookup_host((url.host(), url.port()))).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(unresolved(&error)),
            Err(_) => return Err(unresolved(&"no answer in time")),
        };
        let mut seen = HashSet::new();
        let addresses: Vec<_> = found
            .filter(|address| seen.insert(*address))
            .take(self.limits.addresses)
            .collect();
        if addresses.is_empty() {
            Err(unresolved(&"it has no address"))
        } else {
            Ok(addresses)
        }
    }

    async fn resume(&self, url: &GatewayUrl, address: SocketAddr) -> Result<Dialed, Failure> {
        let unreachable = |why: String| Failure::new(FailureKind::Unreachable, format!("{url}: {why}"));
        let endpoint = self
            .endpoint(address)
            .map_err(|error| unreachable(error.to_string()))?;
        let connecting = endpoint
            .connect_with(self.config.clone(), address, &url.server_name().to_str())
            .map_err(|error| unreachable(error.to_string()))?;
        match connecting.into_0rtt() {
            Ok((connection, early)) => Ok(Dialed {
                address,
                endpoint,
                connection,
                early: Some(early),
            }),
            Err(connecting) => match timeout(self.limits.connect_timeout, connecting).await {
                Ok(Ok(connection)) => Ok(Dialed {
                    address,
                    endpoint,
                    connection,
                    early: None,
                }),
                Ok(Err(error)) => Err(failure(url, &error)),
                Err(_) => Err(unreachable(no_answer(self.limits.connect_timeout))),
            },
        }
    }

    async fn race(&self, url: &GatewayUrl, addresses: Vec<SocketAddr>) -> Result<Dialed, Failure> {
        let mut attempts = JoinSet::new();
        let mut last = Failure::new(
            FailureKind::Unreachable,
            format!("{url}: no address could be tried"),
        );
        for (position, address) in (0_u32..).zip(addresses) {
            let endpoint = match self.endpoint(address) {
                Ok(endpoint) => endpoint,
                Err(error) => {
                    last = Failure::new(FailureKind::Unreachable, format!("{url}: {error}"));
                    continue;
                }
            };
            let head_start = self.limits.address_head_start * position;
            let (config, name) = (self.config.clone(), url.server_name().to_str().into_owned());
            let (connect_timeout, url) = (self.limits.connect_timeout, url.clone());
            attempts.spawn(async move {
                sleep(head_start).await;
                let connecting = endpoint
                    .connect_with(config, address, &name)
                    .map_err(|error| Failure::new(FailureKind::Unreachable, format!("{url}: {error}")))?;
                match timeout(connect_timeout, connecting).await {
                    Ok(Ok(connection)) => Ok(Dialed {
                        address,
                        endpoint,
                        connection,
                        early: None,
                    }),
                    Ok(Err(error)) => Err(failure(&url, &error)),
                    Err(_) => {
                        let message = format!("{url}: {}", no_answer(connect_timeout));
                        Err(Failure::new(FailureKind::Unreachable, message))
                    }
                }
            });
        }
        while let Some(attempt) = attempts.join_next().await {
            match attempt {
                Ok(Ok(dialed)) => return Ok(dialed),
                Ok(Err(failure)) => last = failure,
                Err(panicked) => tracing::error!(%panicked, "a connection attempt failed"),
            }
        }
        Err(last)
    }

    fn endpoint(&self, address: SocketAddr) -> io::Result<Endpoint> {
        endpoint::open(Family::of(address), self.traffic.clone())
    }
}

/// A connection and what it lives on.
struct Dialed {
    address: SocketAddr,
    endpoint: Endpoint,
    connection: Connection,
    early: Option<quinn::ZeroRttAccepted>,
}

fn no_answer(within: Duration) -> String {
    format!("no answer within {}", humantime::format_duration(within))
}

/// What a connection that ended means. TLS alerts come as QUIC errors 0x100 to 0x1ff (RFC 9001, section 4.8).
pub(super) fn failure(url: &GatewayUrl, error: &ConnectionError) -> Failure {
    let (kind, text) = match error {
        ConnectionError::TransportError(error) if is_tls(error.code) => (
            FailureKind::Rejected,
            format!("the gateway's certificate is not accepted: {error}"),
        ),
        ConnectionError::ConnectionClosed(close) if is_tls(close.error_code) => (
            FailureKind::Rejected,
            format!("the gateway does not accept this device's certificate: {close}"),
        ),
        ConnectionError::VersionMismatch => (FailureKind::Rejected, error.to_string()),
        ConnectionError::TimedOut => (FailureKind::Unreachable, "no answer".to_owned()),
        other => (FailureKind::Interrupted, other.to_string()),
    };
    Failure::new(kind, format!("{url}: {text}"))
}

fn is_tls(code: quinn_proto::TransportErrorCode) -> bool {
    (0x100..0x200).contains(&u64::from(code))
}
