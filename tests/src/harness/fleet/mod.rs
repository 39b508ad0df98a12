//! Hundreds of devices in the test's own hands, on one runtime: each with its own certificate and a connection to each
//! gateway it talks to.
//!
//! Unlike the rest of the harness this is asynchronous: write the devices' story as a future and run it with
//! [`Fleet::block_on`] or [`Fleet::each`].

mod certificates;
mod device;

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use futures_util::{StreamExt, stream};
use tokio::{runtime::Runtime, sync::Semaphore, task::JoinHandle};

use self::certificates::Authority;
pub use self::device::{FleetDevice, REQUEST_WITHIN};
use super::{Pki, http3};

/// Threads of the runtime. The machine's other cores belong to the gateways under test.
const THREADS: usize = 2;
/// Handshakes under way at once. A gateway takes 512 from one address and asks from 256 on for a round trip more; past
/// a few for each core they only wait for each other.
const HANDSHAKES: usize = 32;
/// Devices that share a UDP socket. One for all would drop datagrams when a thousand answers arrive at once, one for each
/// would need as many file descriptors as there are devices.
const DEVICES_PER_SOCKET: usize = 25;

/// Simulated devices. Dropping it ends their connections.
pub struct Fleet {
    devices: Vec<FleetDevice>,
    endpoints: Vec<quinn::Endpoint>,
    runtime: Runtime,
}

impl Fleet {
    /// Makes `count` devices named `PREFIX-0000` and on, with certificates of `pki` that exist in memory only. Nothing is
    /// connected yet. Takes a tenth of a millisecond for each.
    pub fn new(pki: &Pki, prefix: &str, count: usize) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .enable_all()
            .build()?;
        let authority = Authority::read(&pki.ca(), &pki.ca_key())?;
        let roots = http3::roots(&pki.ca())?;
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        let (mut devices, mut endpoints) = (Vec::new(), Vec::new());
        for number in 0..count {
            if number % DEVICES_PER_SOCKET == 0 {
                let _context = runtime.enter();
                endpoints.push(quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0)))?);
            }
            let endpoint = endpoints.last().context("no endpoint")?.clone();
            let name = format!("{prefix}-{number:04}");
            let config = http3::client_config(&roots, Some(authority.device(&name)?))?;
            devices.push(FleetDevice::new(
                &name,
                number,
                endpoint,
                config,
                Arc::clone(&handshakes),
            ));
        }
        Ok(Self {
            devices,
            endpoints,
            runtime,
        })
    }

    /// The devices. Clones of one are the same device.
    pub fn devices(&self) -> &[FleetDevice] {
        &self.devices
    }

    /// Runs a future on the fleet's runtime.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Starts a future on the fleet's runtime and does not wait for it.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime.spawn(future)
    }

    /// Runs `story` for each device, at most `at_once` of them at a time, and returns what each came to, in the order of
    /// the devices.
    pub fn each<T, F>(&self, at_once: usize, story: impl Fn(FleetDevice) -> F) -> anyhow::Result<Vec<T>>
    where
        F: Future<Output = anyhow::Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        self.block_on(async {
            let tasks = self.devices.iter().map(|device| {
                let (name, story) = (device.name().to_owned(), story(device.clone()));
                // A task of its own, so that both threads work.
                async move { tokio::spawn(story).await?.context(name) }
            });
            let results: Vec<anyhow::Result<T>> = stream::iter(tasks).buffered(at_once).collect().await;
            results.into_iter().collect()
        })
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for endpoint in &self.endpoints {
            // Says goodbye, so that gateways do not keep the connections for hours.
            endpoint.close(quinn::VarInt::from_u32(0x100), b"");
        }
        let goodbyes = async {
            for endpoint in &self.endpoints {
                endpoint.wait_idle().await;
            }
        };
        let within = std::time::Duration::from_secs(1);
        drop(self.block_on(async { tokio::time::timeout(within, goodbyes).await }));
    }
}
