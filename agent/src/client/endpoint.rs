//! The QUIC endpoint and its tuning for links where each byte and each round trip costs.

use std::{io, sync::Arc, time::Duration};

use quinn::{
    Endpoint, EndpointConfig, IdleTimeout, TokioRuntime, TransportConfig, VarInt,
    crypto::rustls::{NoInitialCipherSuite, QuicClientConfig},
};
use quinn_proto::RandomConnectionIdGenerator;

use super::{
    identity::Identity,
    socket::{self, Family, Traffic},
};

/// How long a silent connection is kept. Hours, because going on with it after a sleep costs 300 bytes (3 kB if the
/// NAT forgot it), a new one 4 kB. The gateway's own value counts too: the smaller one holds.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4 * 3600);
/// Assumed round trip before one was measured. quinn's 333 ms makes it resend whole flights where the true one is above
/// a second, which doubles the bytes of a handshake; the price is that a lost first datagram is noticed after 2.1 s.
const INITIAL_RTT: Duration = Duration::from_millis(700);
/// Unread bytes of one reply: more than a 1 Mbit/s satellite link with 0.6 s of round trip carries in one (75 kB).
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;
/// Unread bytes of all replies together: two streams and some control data.
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes of reports sent and not acknowledged: a full report fits.
const SEND_WINDOW_BYTES: u64 = 1024 * 1024;
/// Streams a gateway may open towards the device: none of requests, and HTTP/3's three of its own (RFC 9114, 6.2).
const GATEWAY_UNI_STREAMS: u32 = 3;

/// The client side of the QUIC configuration for `identity`.
pub(super) fn client_config(identity: &Identity) -> Result<quinn::ClientConfig, NoInitialCipherSuite> {
    let tls = QuicClientConfig::try_from(Arc::clone(&identity.tls))?;
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(transport()));
    Ok(config)
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        // Probing for a larger packet size costs 12 kB on each connection, more than everything else together.
        .mtu_discovery_config(None)
        .initial_rtt(INITIAL_RTT)
        .max_idle_timeout(IdleTimeout::try_from(IDLE_TIMEOUT).ok())
        // A device that sleeps sends nothing.
        .keep_alive_interval(None)
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(GATEWAY_UNI_STREAMS));
    transport
}

/// A client endpoint on a fresh socket, for one connection: its connection IDs are empty, which makes each packet from
/// the gateway 8 bytes shorter.
pub(super) fn open(family: Family, traffic: Traffic) -> io::Result<Endpoint> {
    let mut config = EndpointConfig::default();
    config.cid_generator(|| Box::new(RandomConnectionIdGenerator::new(0)));
    let runtime = Arc::new(TokioRuntime);
    let socket = socket::open(family, &*runtime, traffic)?;
    Endpoint::new_with_abstract_socket(config, None, socket, runtime)
}
