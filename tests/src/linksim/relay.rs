//! The task that moves datagrams: receives, asks the direction when they arrive, and delivers them then.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    sync::{Notify, mpsc},
    time::{Instant, sleep_until},
};

use super::{
    Config, MAX_IN_AIR, Stats,
    direction::{Direction, Live},
    flows::{Flows, FromServer, MAX_DATAGRAM_BYTES},
};

/// Datagrams read from server sockets and not yet put on the link. The kernel's socket buffer waits behind it.
const FROM_SERVER_DATAGRAMS: usize = 256;
/// How long the relay sleeps with nothing in the air and no rebind scheduled; it wakes for any event before that.
const IDLE: Duration = Duration::from_secs(3600);

/// What the handle and the relay share.
pub(super) struct Shared {
    /// What tests change.
    pub(super) live: Mutex<Live>,
    /// The figures so far, updated with each datagram.
    pub(super) stats: Mutex<Stats>,
    /// Asks for new source addresses.
    pub(super) rebind: Notify,
    /// Asks the relay to end.
    pub(super) stop: Notify,
}

impl Shared {
    /// The figures. A panic elsewhere cannot leave half a count behind, so poisoning is ignored.
    pub(super) fn stats(&self) -> Stats {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What tests have asked for.
    fn live(&self) -> Live {
        *self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a datagram in the air goes.
enum Target {
    Server(Arc<UdpSocket>),
    Client(SocketAddr),
}

/// A datagram in the air, ordered by arrival and then by the order it was sent in.
struct InAir {
    due: Duration,
    order: u64,
    target: Target,
    payload: Arc<[u8]>,
}

impl PartialEq for InAir {
    fn eq(&self, other: &Self) -> bool {
        (self.due, self.order) == (other.due, other.order)
    }
}
impl Eq for InAir {}
impl PartialOrd for InAir {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for InAir {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

struct Relay {
    started: Instant,
    socket: UdpSocket,
    flows: Flows,
    up: Direction,
    down: Direction,
    in_air: BinaryHeap<Reverse<InAir>>,
    sent: u64,
    rebinds: u64,
    flows_seen: u64,
    shared: Arc<Shared>,
}

/// Runs the link until asked to stop.
pub(super) async fn run(config: Config, socket: UdpSocket, shared: Arc<Shared>) -> io::Result<()> {
    let (to_relay, mut from_server) = mpsc::channel(FROM_SERVER_DATAGRAMS);
    let mut relay = Relay {
        started: Instant::now(),
        socket,
        flows: Flows::new(config.to, to_relay),
        up: Direction::new(&config, 0),
        down: Direction::new(&config, 1),
        in_air: BinaryHeap::new(),
        sent: 0,
        rebinds: 0,
        flows_seen: 0,
        shared: Arc::clone(&shared),
    };
    let mut next_rebind = config.rebind_every;
    let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
    loop {
        let next = [relay.in_air.peek().map(|next| next.0.due), next_rebind]
            .into_iter()
            .flatten()
            .min();
        let wake_at = next.map_or_else(|| Instant::now() + IDLE, |due| relay.started + due);
        // Every branch is cancel-safe: receives and notifications lose nothing when dropped, the timer is re-made.
        tokio::select! {
            () = shared.stop.notified() => return Ok(()),
            () = shared.rebind.notified() => relay.rebind(),
            () = sleep_until(wake_at) => {}
            received = relay.socket.recv_from(&mut buffer) => {
                // An error here is ICMP about a client that went away; it says nothing about the others.
                if let Ok((length, client)) = received {
                    relay.send_up(client, buffer.get(..length).unwrap_or_default()).await?;
                }
            }
            Some(datagram) = from_server.recv() => relay.send_down(datagram),
        }
        if next_rebind.is_some_and(|at| relay.started.elapsed() >= at) {
            relay.rebind();
            next_rebind = next_rebind.zip(config.rebind_every).map(|(at, every)| at + every);
        }
        relay.deliver().await;
        relay.publish();
    }
}

impl Relay {
    async fn send_up(&mut self, client: SocketAddr, payload: &[u8]) -> io::Result<()> {
        let now = self.started.elapsed();
        let (socket, new) = self.flows.socket(client, now).await?;
        self.flows_seen += u64::from(new);
        let arrivals = self.up.offer(now, payload.len() as u64, self.shared.live());
        let full = self.fly(arrivals, payload, |_| Target::Server(Arc::clone(&socket)));
        self.up.counts.queue_full += full;
        Ok(())
    }

    fn send_down(&mut self, datagram: FromServer) {
        let now = self.started.elapsed();
        let arrivals = self
            .down
            .offer(now, datagram.payload.len() as u64, self.shared.live());
        let full = self.fly(arrivals, &datagram.payload, |_| Target::Client(datagram.client));
        self.down.counts.queue_full += full;
    }

    /// Puts the copies of a datagram into the air; returns how many found no room.
    fn fly(
        &mut self,
        arrivals: [Option<Duration>; 2],
        payload: &[u8],
        target: impl Fn(u64) -> Target,
    ) -> u64 {
        let payload: Arc<[u8]> = payload.into();
        let mut full = 0;
        for due in arrivals.into_iter().flatten() {
            if self.in_air.len() >= MAX_IN_AIR {
                full += 1;
                continue;
            }
            let order = self.sent;
            self.sent += 1;
            let payload = Arc::clone(&payload);
            self.in_air.push(Reverse(InAir {
                due,
                order,
                target: target(order),
                payload,
            }));
        }
        full
    }

    /// Sends everything that is due. A failed send is a datagram lost: the sender's protocol deals with it.
    async fn deliver(&mut self) {
        let now = self.started.elapsed();
        while self.in_air.peek().is_some_and(|next| next.0.due <= now) {
            let Some(Reverse(datagram)) = self.in_air.pop() else {
                return;
            };
            match datagram.target {
                Target::Server(socket) => {
                    self.up.counts.delivered += u64::from(socket.send(&datagram.payload).await.is_ok());
                }
                Target::Client(client) => {
                    let sent = self.socket.send_to(&datagram.payload, client).await;
                    self.down.counts.delivered += u64::from(sent.is_ok());
                }
            }
        }
    }

    fn rebind(&mut self) {
        self.rebinds += self.flows.rebind() as u64;
    }

    fn publish(&self) {
        let stats = Stats {
            up: self.up.counts,
            down: self.down.counts,
            rebinds: self.rebinds,
            flows: self.flows_seen,
        };
        *self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }
}
