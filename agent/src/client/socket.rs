//! A UDP socket that counts what passes it, in IP bytes.
//!
//! Counting at the socket is exact: handshakes that fail, probes and closing datagrams are in it, which no statistic
//! of a connection can offer.

use std::{
    io::{self, IoSliceMut},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use quinn::{
    AsyncUdpSocket, Runtime, UdpPoller,
    udp::{RecvMeta, Transmit},
};

/// Added to each datagram: an IPv4 header of 20 bytes and a UDP header of 8 (the contract counts IPv6 the same).
const HEADER_BYTES: u64 = 28;

/// IP bytes so far, both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IpBytes {
    /// Sent.
    pub sent: u64,
    /// Received.
    pub received: u64,
}

/// Counts IP bytes. Shared between the sockets of one client and whoever wants to know.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Traffic {
    /// The totals so far.
    #[must_use]
    pub fn total(&self) -> IpBytes {
        IpBytes {
            sent: self.counters.sent.load(Ordering::Relaxed),
            received: self.counters.received.load(Ordering::Relaxed),
        }
    }

    fn count(counter: &AtomicU64, payload: usize, datagram: usize) {
        let datagrams = payload.div_ceil(datagram.max(1)).max(1);
        let headers = u64::try_from(datagrams)
            .unwrap_or(u64::MAX)
            .saturating_mul(HEADER_BYTES);
        let bytes = u64::try_from(payload).unwrap_or(u64::MAX).saturating_add(headers);
        counter.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Which of the two internets a socket speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn of(address: SocketAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Any local address and port: the kernel picks the source anew when the device moves to another network.
    fn any_address(self) -> SocketAddr {
        match self {
            Self::V4 => (Ipv4Addr::UNSPECIFIED, 0).into(),
            Self::V6 => (Ipv6Addr::UNSPECIFIED, 0).into(),
        }
    }
}

/// Opens a counted socket for `family`.
pub(super) fn open(
    family: Family,
    runtime: &dyn Runtime,
    traffic: Traffic,
) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    let socket = UdpSocket::bind(family.any_address())?;
    let inner = runtime.wrap_udp_socket(socket)?;
    Ok(Arc::new(CountedSocket { inner, traffic }))
}

#[derive(Debug)]
struct CountedSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    traffic: Traffic,
}

impl AsyncUdpSocket for CountedSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)?;
        let payload = transmit.contents.len();
        let datagram = transmit.segment_size.unwrap_or(payload);
        Traffic::count(&self.traffic.counters.sent, payload, datagram);
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let polled = self.inner.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = &polled {
            for received in meta.iter().take(*count) {
                Traffic::count(&self.traffic.counters.received, received.len, received.stride);
            }
        }
        polled
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_datagram_of_a_batch_has_its_headers() {
        let counted = |payload, datagram| {
            let counter = AtomicU64::new(0);
            Traffic::count(&counter, payload, datagram);
            counter.into_inner()
        };
        assert_eq!(counted(100, 100), 128);
        assert_eq!(counted(1_200, 600), 1_256);
        assert_eq!(counted(1_201, 600), 1_285);
        assert_eq!(counted(0, 0), 28);
    }
}
