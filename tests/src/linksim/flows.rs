//! One socket towards the server per client address, as a NAT keeps one mapping per inside address.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::UdpSocket, sync::mpsc, task::JoinHandle};

use super::MAX_FLOWS;

/// The largest UDP payload there is (RFC 768: a 16-bit length), so nothing is ever cut.
pub(super) const MAX_DATAGRAM_BYTES: usize = 65_535;

/// A datagram from the server for a client.
pub(super) struct FromServer {
    /// The client.
    pub(super) client: SocketAddr,
    /// Its payload.
    pub(super) payload: Vec<u8>,
}

/// The flows of a link, bounded by [`MAX_FLOWS`].
pub(super) struct Flows {
    to: SocketAddr,
    from_server: mpsc::Sender<FromServer>,
    by_client: HashMap<SocketAddr, Flow>,
}

struct Flow {
    socket: Arc<UdpSocket>,
    reader: JoinHandle<()>,
    last_used: Duration,
}

impl Drop for Flow {
    fn drop(&mut self) {
        // The socket closes with its reader: replies to the old mapping are lost, as behind a NAT.
        self.reader.abort();
    }
}

impl Flows {
    /// No flows yet. What servers send arrives on `from_server`.
    pub(super) fn new(to: SocketAddr, from_server: mpsc::Sender<FromServer>) -> Self {
        Self {
            to,
            from_server,
            by_client: HashMap::new(),
        }
    }

    /// The socket of `client`, and whether it is new.
    pub(super) async fn socket(
        &mut self,
        client: SocketAddr,
        now: Duration,
    ) -> io::Result<(Arc<UdpSocket>, bool)> {
        if let Some(flow) = self.by_client.get_mut(&client) {
            flow.last_used = now;
            return Ok((Arc::clone(&flow.socket), false));
        }
        if self.by_client.len() >= MAX_FLOWS {
            let idlest = self
                .by_client
                .iter()
                .min_by_key(|(_, flow)| flow.last_used)
                .map(|(client, _)| *client);
            idlest.and_then(|client| self.by_client.remove(&client));
        }
        let local: SocketAddr = if self.to.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            ([0u16; 8], 0).into()
        };
        let socket = Arc::new(UdpSocket::bind(local).await?);
        socket.connect(self.to).await?;
        let reader = tokio::spawn(read(Arc::clone(&socket), client, self.from_server.clone()));
        self.by_client.insert(
            client,
            Flow {
                socket: Arc::clone(&socket),
                reader,
                last_used: now,
            },
        );
        Ok((socket, true))
    }

    /// Forgets every mapping: the next datagram of each client leaves from a new port. Returns how many there were.
    pub(super) fn rebind(&mut self) -> usize {
        let count = self.by_client.len();
        self.by_client.clear();
        count
    }
}

/// Passes on what the server sends to one flow.
async fn read(socket: Arc<UdpSocket>, client: SocketAddr, from_server: mpsc::Sender<FromServer>) {
    let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
    loop {
        match socket.recv(&mut buffer).await {
            Ok(length) => {
                let payload = buffer.iter().take(length).copied().collect();
                if from_server.send(FromServer { client, payload }).await.is_err() {
                    return;
                }
            }
            // A server that is down answers with ICMP "port unreachable", which says nothing about later datagrams.
            // Giving way keeps a persistent error from spinning.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
