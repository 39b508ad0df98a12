//! UDP sockets and the QUIC settings on them (measured in docs/gateway.md).

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig, ValidationTokenConfig};

use super::limits;
use crate::tls::Loaded;

/// A listener that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("--listen {address}: cannot open the UDP port")]
pub struct BindError {
    /// Which address.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Opens one endpoint per address. All of them or none.
pub fn bind(addresses: &[SocketAddr], tls: &Loaded) -> Result<Vec<Endpoint>, BindError> {
    addresses
        .iter()
        .map(|&address| open(address, tls).map_err(|source| BindError { address, source }))
        .collect()
}

fn open(address: SocketAddr, tls: &Loaded) -> io::Result<Endpoint> {
    let socket = UdpSocket::bind(address)?;
    let mut endpoint = EndpointConfig::default();
    // A restarted gateway meets all its devices at once; the default answers 50 of them a second and lets the others
    // wait for tens of seconds. A reset is smaller than what caused it, so it amplifies nothing.
    endpoint.min_reset_interval(Duration::ZERO);
    Endpoint::new(endpoint, Some(server_config(tls)), socket, Arc::new(TokioRuntime))
}

/// Settings for new connections.
pub fn server_config(tls: &Loaded) -> ServerConfig {
    let mut config = ServerConfig::with_crypto(tls.quic.clone());
    config.transport_config(Arc::new(transport()));
    // Address validation tokens for later connections cost 48 bytes each and save a round trip only under attack.
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0);
    config.validation_token_config(tokens);
    config.max_incoming(limits::INCOMING);
    config.incoming_buffer_size(limits::INCOMING_BYTES);
    config.incoming_buffer_size_total(limits::INCOMING_BYTES_TOTAL);
    config
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    // Four probes each way cost 12 KB a connection; more per packet would gain a report a few bytes.
    transport.mtu_discovery_config(None);
    transport.initial_rtt(limits::INITIAL_RTT);
    transport.max_idle_timeout(quinn::IdleTimeout::try_from(limits::IDLE_TIMEOUT).ok());
    // A sleeping device pays nothing.
    transport.keep_alive_interval(None);
    // HTTP/3 here has no datagrams.
    transport.datagram_receive_buffer_size(None);
    transport.datagram_send_buffer_size(0);
    transport.stream_receive_window(limits::STREAM_WINDOW);
    transport.receive_window(limits::CONNECTION_WINDOW);
    transport.send_window(limits::SEND_WINDOW);
    transport.max_concurrent_bidi_streams(limits::REQUEST_STREAMS);
    transport.max_concurrent_uni_streams(limits::UNI_STREAMS);
    transport
}
