//! Every bound of the listener, each with its reason. Users find them in docs/gateway.md.

use std::time::Duration;

use quinn::VarInt;

/// Connections open at once, all listeners together. An idle one costs about 45 kB, so this is about 0.9 GB.
pub const CONNECTIONS: usize = 20_000;
/// Requests of one connection at once. HTTP/3 wants at least 100 (RFC 9114, section 6.1), and with fewer the client is
/// sent a MAX_STREAMS frame, and so a datagram, after every few requests.
pub const REQUEST_STREAMS: VarInt = VarInt::from_u32(100);
/// Streams a client opens to us: control and two of QPACK, and a few of unknown kind that HTTP/3 allows.
pub const UNI_STREAMS: VarInt = VarInt::from_u32(8);
/// Unread bytes of one stream: at 600 ms round trip a body of 1 MiB then takes four of them.
pub const STREAM_WINDOW: VarInt = VarInt::from_u32(256 * 1024);
/// Unread bytes of one connection: two bodies at full speed; what one hostile device can make us hold.
pub const CONNECTION_WINDOW: VarInt = VarInt::from_u32(512 * 1024);
/// Unacknowledged bytes we hold for one connection: desired documents are small, devices may never acknowledge.
pub const SEND_WINDOW: u64 = 256 * 1024;
/// Silence after which a connection is forgotten: devices sleep for hours, and waking one up is cheaper than a new one.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(4 * 3600);
/// First guess of the round trip: the default of 333 ms doubles the bytes of a handshake beyond 1 s.
pub const INITIAL_RTT: Duration = Duration::from_millis(700);
/// A handshake is three flights; at 5 s round trip with losses this is still enough.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// Handshakes not yet begun, waiting for a decision. They are decided at once; this is a burst.
pub const INCOMING: usize = 1024;
/// Early data held for one of those: what a device sends in one go, a report and a poll.
pub const INCOMING_BYTES: u64 = 64 * 1024;
/// Early data held for all of those.
pub const INCOMING_BYTES_TOTAL: u64 = 8 * 1024 * 1024;
/// Header block of a request, decoded, as HTTP counts it (RFC 9114, section 4.2.2): ours are under 300 bytes.
pub const FIELD_SECTION_BYTES: u64 = 4096;
/// Time for a request's headers to arrive once its stream exists.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a request's whole body: 1 MiB at 50 kbit/s takes 170 s.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(300);
/// Time to send an answer to a device that reads slowly or has gone.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest a poll's answer waits for that of a report on the same connection. An agent sends both at once and sleeps when
/// it has both answers, so it loses nothing; apart they are two datagrams, and the second costs it an acknowledgement of
/// 60 bytes. Slow disks commit in some tens of milliseconds, and a round trip by satellite takes 600.
pub const TOGETHER: Duration = Duration::from_millis(100);
/// Requests of one connection that broke off before their headers. h3 keeps a number for each, for the connection's
/// life; past this the connection is closed.
pub const BROKEN_REQUESTS: u32 = 10_000;
/// Accepts at once while draining, after GOAWAY: a request already under way when it was sent is still served.
pub const GOAWAY_GRACE_REQUESTS: usize = 16;
/// Time a connection stays open after its last answer when draining, so that the answer is acknowledged.
pub const LINGER: Duration = Duration::from_millis(500);
