//! Starting a link, changing it while it runs, reading its figures.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use anyhow::Context;
use tokio::sync::Notify;

use super::{
    Config, Stats,
    direction::Live,
    relay::{self, Shared},
};

/// A running link. It has its own thread, so that a test which blocks does not stop it; dropping it ends it.
pub struct LinkSim {
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl LinkSim {
    /// Starts the link. Fails if the configuration is impossible or the listen address is taken.
    pub fn start(config: Config) -> anyhow::Result<Self> {
        config.check()?;
        // Bound here and now, so that a taken port is the caller's error.
        let socket =
            UdpSocket::bind(config.listen).with_context(|| format!("listen on {}", config.listen))?;
        socket.set_nonblocking(true)?;
        let local_addr = socket.local_addr()?;
        let shared = Arc::new(Shared {
            live: Mutex::new(Live {
                loss: config.loss,
                blackout: false,
            }),
            stats: Mutex::new(Stats::default()),
            rebind: Notify::new(),
            stop: Notify::new(),
        });
        let for_relay = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("linksim".to_owned())
            .spawn(move || {
                if let Err(error) = run_relay(config, socket, for_relay) {
                    eprintln!("linksim: the link ended: {error}");
                }
            })?;
        Ok(Self {
            local_addr,
            shared,
            thread: Some(thread),
        })
    }

    /// Where clients send to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The figures so far.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Cuts or restores the link. Datagrams in the air still arrive.
    pub fn set_blackout(&self, dark: bool) {
        self.shared
            .live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .blackout = dark;
    }

    /// Changes the share of datagrams lost, pulled into 0 to 1.
    pub fn set_loss(&self, loss: f64) {
        let loss = if loss.is_nan() { 0.0 } else { loss.clamp(0.0, 1.0) };
        self.shared
            .live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .loss = loss;
    }

    /// Gives every flow a new source address with its next datagram.
    pub fn rebind(&self) {
        self.shared.rebind.notify_one();
    }

    /// Ends the link and returns the final figures.
    pub fn stop(mut self) -> Stats {
        self.end();
        self.shared.stats()
    }

    fn end(&mut self) {
        self.shared.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panicked relay has already said so on stderr.
            drop(thread.join());
        }
    }
}

impl Drop for LinkSim {
    fn drop(&mut self) {
        self.end();
    }
}

/// The body of the link's thread: one task, so that the order of events is the order of decisions.
fn run_relay(config: Config, socket: UdpSocket, shared: Arc<Shared>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        relay::run(config, socket, shared).await
    })
}
