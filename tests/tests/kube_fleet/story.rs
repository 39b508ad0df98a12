//! What a fleet has to say, and how all of it is sent.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicUsize},
};

use anyhow::Result;
use apollo_tests::harness::{Gateway, fleet::Fleet};
use rand::rngs::StdRng;

use crate::frames::{self, Frame, Met};

/// All that the devices have to say.
pub(crate) struct Story {
    /// What each device has seen, by its place in the fleet.
    pub(crate) frames: Vec<Vec<Frame>>,
    /// What each sends, in order.
    pub(crate) sends: Vec<Vec<Frame>>,
}

impl Story {
    /// Of devices with `processes` processes each.
    pub(crate) fn new(fleet: &Fleet, processes: usize, rng: &mut StdRng) -> Self {
        let devices = fleet.devices().iter().enumerate();
        let frames: Vec<_> = devices
            .map(|(number, device)| frames::of_device(device.name(), number, processes, rng))
            .collect();
        let sends = frames.iter().map(|frames| frames::sends(frames, rng)).collect();
        Self { frames, sends }
    }

    /// How many frames are sent.
    pub(crate) fn total(&self) -> usize {
        self.sends.iter().map(Vec::len).sum()
    }

    /// Sends everything, all devices at once, until it is settled; what they met together.
    pub(crate) fn send(
        &self,
        fleet: &Fleet,
        gateways: &[Gateway],
        settled: &Arc<AtomicUsize>,
        seed: u64,
    ) -> Result<Met> {
        let addresses: Arc<[SocketAddr]> = gateways.iter().map(Gateway::udp).collect();
        let names = fleet.devices().iter().map(|device| device.name().to_owned());
        let sends: BTreeMap<String, Vec<Frame>> = names.zip(self.sends.iter().cloned()).collect();
        let met = fleet.each(sends.len(), |device| {
            let sends = sends.get(device.name()).cloned().unwrap_or_default();
            frames::send_all(device, sends, addresses.clone(), settled.clone(), seed)
        })?;
        Ok(Met::sum(met))
    }
}

/// The processes of every device: name, and whose.
pub(crate) fn processes(fleet: &Fleet, each: usize) -> Vec<(String, String)> {
    let names = fleet.devices().iter().flat_map(|device| {
        let name = device.name().to_owned();
        (0..each).map(move |number| (frames::process(&name, number), name.clone()))
    });
    names.collect()
}
