//! R-06, counted at the API server: devices that are well and have nothing to say cost it next to nothing.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{
    Gateway, PATIENCE,
    fleet::{Fleet, FleetDevice},
    kube::{Kind, KubeWorld},
    observation, wait,
};

use crate::{gateways, objects, turn};

const DEVICES: usize = 1_000;
/// Each device calls one gateway and always the same, so that only what replicas see of each other's writes is left to
/// make them disagree.
const GATEWAYS: usize = 2;
/// The staleness window. As short as a thousand devices can be served in on two cores beside other work.
const WINDOW: Duration = Duration::from_secs(24);
/// Windows that are looked at.
const WINDOWS: u32 = 5;
/// Heartbeats in a window: twice as many as may be written.
const HEARTBEATS: u32 = 6;
/// The most writes of one Device in a window.
const WRITES_MAX: u32 = 3;
/// Devices that make themselves known at once.
const AT_ONCE: usize = 64;

#[test]
fn a_thousand_devices_that_are_well_cost_three_device_writes_a_window_and_no_other() -> Result<()> {
    let Some(_turn) = turn("heartbeats counted at the API server")? else {
        return Ok(());
    };
    let world = KubeWorld::new()?;
    let window = format!("{}s", WINDOW.as_secs());
    let gateways = gateways::start(&world, GATEWAYS, &["--stale-after", &window])?;
    let fleet = Fleet::new(&world.pki, "rail", DEVICES)?;
    let names: Vec<String> = fleet
        .devices()
        .iter()
        .map(|device| device.name().to_owned())
        .collect();
    objects::create(&names, |name| world.bind(name, name))?;
    let homes = homes(&fleet, &gateways);
    introduce(&world, &fleet, &homes)?;

    let mark = world.api.audit_mark()?;
    let began = Instant::now();
    let beats = beat(&fleet, &homes)?;
    let took = began.elapsed();
    let entries = world.asked_since(mark)?;
    let beats: u32 = beats.iter().sum();
    ensure!(
        beats == u32::try_from(DEVICES)? * WINDOWS * HEARTBEATS,
        "{beats} heartbeats"
    );

    let mut writes: BTreeMap<&str, u32> = BTreeMap::new();
    for entry in &entries {
        let what = format!("{} {}/{}", entry.verb, entry.resource, entry.subresource);
        match &*what {
            // Events are written at a slow pace: those of the first reports are still on their way.
            "watch devices/" | "watch deviceprocesses/" | "create events/" => {}
            "patch devices/status" => *writes.entry(&entry.name).or_default() += 1,
            _ => anyhow::bail!("{what}: {entry:?}"),
        }
    }
    let most = writes.values().copied().max().unwrap_or(0);
    let all: u32 = writes.values().sum();
    eprintln!(
        "{DEVICES} devices, {beats} heartbeats in {took:.1?} ({WINDOWS} windows of {WINDOW:?}): {all} Device writes, {:.2} \
         per device and window, at most {most} of one device in all; no DeviceProcess write, no other request",
        f64::from(all) / f64::from(WINDOWS) / f64::from(u32::try_from(DEVICES)?),
    );
    ensure!(
        most <= WRITES_MAX * WINDOWS,
        "{most} writes of one Device in {WINDOWS} windows"
    );
    // Liveness needs to see the value change.
    let least = names
        .iter()
        .map(|name| writes.get(name.as_str()).copied().unwrap_or(0))
        .min();
    ensure!(least >= Some(WINDOWS), "{least:?} writes of one Device");
    let devices = world.api.client().items(Kind::DEVICES)?;
    ensure!(
        devices
            .iter()
            .all(|device| device["status"]["state"] == "Connected")
    );
    gateways::complain_only_of(&gateways, &[])
}

/// Which gateway each device calls.
fn homes(fleet: &Fleet, gateways: &[Gateway]) -> Arc<BTreeMap<String, SocketAddr>> {
    let addresses = gateways.iter().map(Gateway::udp).cycle();
    let names = fleet.devices().iter().map(|device| device.name().to_owned());
    Arc::new(names.zip(addresses).collect())
}

/// Every device reports once; then until everything about them is written.
fn introduce(world: &KubeWorld, fleet: &Fleet, homes: &Arc<BTreeMap<String, SocketAddr>>) -> Result<()> {
    fleet.each(AT_ONCE, |device| {
        let homes = homes.clone();
        async move {
            let home = *homes.get(device.name()).context("no home")?;
            let report = device.report_of(&[observation(1, device.name(), 0)]);
            loop {
                let reply = device.report(home, &report).await?;
                match reply.status {
                    200 => return Ok(()),
                    503 => tokio::time::sleep(Duration::from_secs(1)).await,
                    _ => anyhow::bail!("{reply:?}"),
                }
            }
        }
    })?;
    let world = &world;
    wait::until_true("every process to be connected", PATIENCE, || {
        let processes = world.api.client().items(KubeWorld::PROCESSES)?;
        let is_connected = |process: &serde_json::Value| {
            let connected = apollo_tests::harness::condition(&process["status"], "AgentConnected");
            connected["status"] == "True" && process["status"]["sync"]["sequence"] == 1
        };
        Ok(processes.len() == DEVICES && processes.iter().all(is_connected))
    })
}

/// Every device calls [`HEARTBEATS`] times in each of [`WINDOWS`] windows, all of them spread over time. How often each
/// was heard.
fn beat(fleet: &Fleet, homes: &Arc<BTreeMap<String, SocketAddr>>) -> Result<Vec<u32>> {
    let period = WINDOW / HEARTBEATS;
    let began = tokio::time::Instant::now();
    fleet.each(DEVICES, |device: FleetDevice| {
        let homes = homes.clone();
        async move {
            let home = *homes.get(device.name()).context("no home")?;
            let number = homes.keys().position(|name| name == device.name()).unwrap_or(0);
            let phase = period.mul_f64(number as f64 / DEVICES as f64);
            let mut heard = 0;
            for beat in 0..WINDOWS * HEARTBEATS {
                // The passing of time is the subject.
                tokio::time::sleep_until(began + phase + period * beat).await;
                let reply = device.report(home, &device.report_of(&[])).await?;
                ensure!(reply.status == 200, "{reply:?}");
                heard += 1;
            }
            Ok(heard)
        }
    })
}
