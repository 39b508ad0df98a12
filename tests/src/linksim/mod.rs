//! A UDP link in user space: delay, jitter, rate, loss, duplication, reordering, blackouts and NAT rebinding, with
//! every byte counted.
//!
//! ```text
//! client A --+                         +-- socket a --+
//! client B --+-- listen --> link up ---+-- socket b --+--> server
//!            +-----------<- link down -+--------------+
//! ```
//!
//! Each client address is a flow with its own socket towards the server, as behind a NAT. What happens to a datagram
//! is drawn from a generator seeded per direction, and every datagram draws the same amount of numbers, so the n-th
//! datagram of a direction meets the same fate in each run with the same seed.

mod config;
mod direction;
mod flows;
mod handle;
mod relay;
mod stats;

pub use config::{Blackout, Config};
pub use handle::LinkSim;
pub use stats::{Counts, Stats};

/// Most flows at once; beyond it the flow idle for longest is forgotten, as a NAT does. A test has a handful.
pub const MAX_FLOWS: usize = 1024;
/// Bytes waiting for a rate-limited link to send them, per direction; beyond it datagrams are dropped (drop-tail).
/// 128 KiB is one second at 1 Mbit/s, what a modem buffers.
pub const QUEUE_BYTES: u64 = 128 * 1024;
/// Most datagrams in the air, both directions together: 64 Ki of 1,200 bytes are 80 MB. Beyond it they are dropped.
pub const MAX_IN_AIR: usize = 64 * 1024;
/// What IPv4 (20 bytes, RFC 791) and UDP (8 bytes, RFC 768) add to each datagram.
pub const IP_UDP_HEADER_BYTES: u64 = 28;
