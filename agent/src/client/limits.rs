//! Every bound of the client, each with its reason. Tests use smaller ones.

use std::time::Duration;

use apollo_wire::limits::FRAME_DECODED_BYTES;

/// Time and size bounds of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// How long a name may take to resolve.
    pub resolve_timeout: Duration,
    /// How long one address may take to complete the handshake.
    pub connect_timeout: Duration,
    /// How long the second address of a host waits for the first.
    pub address_head_start: Duration,
    /// Most addresses of one host that are tried.
    pub addresses: usize,
    /// How long an exchange may go without a single datagram received; longer on links with a longer round trip.
    pub silence: Duration,
    /// How long one exchange may take in all.
    pub exchange_timeout: Duration,
    /// Largest reply to a report, bytes.
    pub verdicts_bytes: usize,
    /// Largest desired document, bytes.
    pub desired_bytes: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            resolve_timeout: Duration::from_secs(5),
            // Three sends of the first datagram (at 0, 2.1 and 6.3 s) and a satellite's round trip after the last.
            connect_timeout: Duration::from_secs(10),
            // Long enough that a good address answers first on any link but the slowest (RFC 8305 has 250 ms for
            // links where a datagram costs nothing).
            address_head_start: Duration::from_secs(2),
            addresses: 4,
            // On 0.6 s of round trip two losses in a row take 6 s to recover from.
            silence: Duration::from_secs(10),
            // A full report and a large document at 20 kbit/s with loss.
            exchange_timeout: Duration::from_secs(300),
            // A thousand refusals with the longest messages.
            verdicts_bytes: 2 * 1024 * 1024,
            desired_bytes: FRAME_DECODED_BYTES,
        }
    }
}

impl ClientLimits {
    /// The longest silence on a connection with this round trip: six of them hold two losses in a row.
    pub(super) fn silence_at(&self, round_trip: Duration) -> Duration {
        self.silence.max(round_trip.saturating_mul(6))
    }

    /// Most bytes a connection may receive during one exchange: both replies, retransmissions and framing. h3 buffers
    /// an endless header block without bound, so the count has to be kept below it.
    pub(super) fn received_bytes(&self) -> u64 {
        let replies = self
            .verdicts_bytes
            .saturating_add(self.desired_bytes)
            .saturating_mul(2);
        u64::try_from(replies).unwrap_or(u64::MAX)
    }
}
