//! Ten thousand DeviceProcesses in one API server: what a gateway's start, a poll and a change of a spec cost.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{
    Gateway, PATIENCE,
    fleet::{Fleet, FleetDevice},
    kube::{AuditEntry, KubeWorld, Part},
    wait,
};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::{gateways, objects, turn};

const PROCESSES: usize = 10_000;
/// Devices with as many processes each.
const DEVICES: usize = 1_000;
/// Devices that really call.
const CALLERS: usize = 100;
/// Pages of 500 that a list of all takes.
const PAGES: usize = PROCESSES / 500;
/// Changes of a spec that are waited for.
const CHANGES: usize = 20;
/// The contract's bound for each of them.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
/// Generous bounds, for a debug build on a machine with other work.
const START_WITHIN: Duration = Duration::from_secs(60);
const BYTES_PER_PROCESS_MAX: u64 = 32 * 1024;

#[test]
fn ten_thousand_processes_are_listed_once_polled_for_nothing_and_told_of_at_once() -> Result<()> {
    let Some(_turn) = turn("ten thousand DeviceProcesses")? else {
        return Ok(());
    };
    let world = KubeWorld::new()?;
    let empty = world.gateway("empty", &[])?;
    let empty_bytes = empty.process.resident_bytes()?;
    drop(empty);
    let names: Vec<(String, String)> = (0..PROCESSES)
        .map(|number| (format!("p-{number:05}"), format!("truck-{:04}", number % DEVICES)))
        .collect();
    let began = Instant::now();
    objects::create(&names, |(name, device)| world.bind(name, device))?;
    eprintln!("{PROCESSES} objects created in {:.1?}", began.elapsed());

    let mut gateway = start(&world, empty_bytes)?;
    let fleet = Fleet::new(&world.pki, "truck", CALLERS)?;
    polls_ask_nothing(&world, &fleet, &gateway)?;
    changes_are_told(&world, &fleet, &gateway)?;
    relist(&world, &fleet, &mut gateway)?;
    gateways::complain_only_of(&[gateway], &["the API server does not do what it is asked"])
}

/// What was asked since a mark, by verb and resource.
fn asked(entries: &[AuditEntry]) -> BTreeMap<String, usize> {
    let mut asked = BTreeMap::new();
    for entry in entries {
        *asked
            .entry(format!("{} {}", entry.verb, entry.resource))
            .or_default() += 1;
    }
    asked
}

/// Starts a gateway on all of it.
fn start(world: &KubeWorld, empty_bytes: u64) -> Result<Gateway> {
    let mark = world.api.audit_mark()?;
    let began = Instant::now();
    let gateway = world.gateway("gateway", &[])?;
    let took = began.elapsed();
    let bytes = gateway.process.resident_bytes()?.saturating_sub(empty_bytes);
    let each = bytes / u64::try_from(PROCESSES)?;
    let asked = asked(&world.asked_since(mark)?);
    eprintln!(
        "start until listening {took:.1?}, asked {asked:?}; resident {} KiB empty, {} KiB more with all, {each} bytes for each",
        empty_bytes / 1024,
        bytes / 1024
    );
    ensure!(took < START_WITHIN, "{took:?} to list");
    ensure!(each < BYTES_PER_PROCESS_MAX, "{each} bytes for each");
    Ok(gateway)
}

/// Polls, first ones and repeated ones, of all callers: only watches are asked for.
fn polls_ask_nothing(world: &KubeWorld, fleet: &Fleet, gateway: &Gateway) -> Result<()> {
    let mark = world.api.audit_mark()?;
    let udp = gateway.udp();
    let began = Instant::now();
    let polls = fleet.each(16, move |device| async move {
        let first = device.desired(udp, None, None).await?;
        let processes = first.json()?["processes"].as_array().map_or(0, Vec::len);
        ensure!(processes == PROCESSES / DEVICES, "{processes} processes");
        let etag = first.header("etag").context("no ETag")?.to_owned();
        for _ in 0..9 {
            ensure!(device.desired(udp, Some(&etag), None).await?.status == 304);
        }
        Ok(10)
    })?;
    let took = began.elapsed();
    // Whatever they ask for is in the log when this is.
    world.api.client().get(KubeWorld::PROCESSES, "p-00000")?;
    let asked = asked(&world.asked_since(mark)?);
    let polls: usize = polls.iter().sum();
    eprintln!("{polls} polls in {took:.1?} (handshakes included), asked {asked:?}");
    ensure!(asked.keys().all(|what| what.starts_with("watch ")), "{asked:?}");
    Ok(())
}

/// Waiting polls hear of a changed spec within a second.
fn changes_are_told(world: &KubeWorld, fleet: &Fleet, gateway: &Gateway) -> Result<()> {
    let udp = gateway.udp();
    let mut times = Vec::new();
    for (number, device) in fleet.devices().iter().take(CHANGES).enumerate() {
        let current = fleet.block_on(device.desired(udp, None, None))?;
        let etag = current.header("etag").context("no ETag")?.to_owned();
        let waiting = fleet.spawn(wait_for_news(device.clone(), gateway, etag));
        // Most of the time it waits already; if not, the answer is the same.
        wait::pause(Duration::from_millis(50));
        let patch = json!({"spec": {"args": [format!("change-{number}")]}});
        let began = Instant::now();
        world
            .api
            .client()
            .merge_patch(KubeWorld::PROCESSES, &format!("p-{number:05}"), &patch)?;
        let (told, body) = fleet.block_on(waiting)??;
        ensure!(body.contains(&format!("change-{number}")), "{body}");
        times.push(told.saturating_duration_since(began));
    }
    times.sort();
    let slowest = times.last().copied().context("no change")?;
    eprintln!(
        "a changed spec reaches a waiting poll in {:.1?} at the median, {slowest:.1?} at most of {CHANGES} (from before the \
         patch was sent)",
        times[times.len() / 2]
    );
    ensure!(slowest < TOLD_WITHIN, "told after {slowest:?}");
    Ok(())
}

/// When the answer came, and what it says.
fn wait_for_news(
    device: FleetDevice,
    gateway: &Gateway,
    etag: String,
) -> impl Future<Output = Result<(Instant, String)>> + Send + 'static {
    let udp = gateway.udp();
    async move {
        let reply = device.desired(udp, Some(&etag), Some(30)).await?;
        ensure!(reply.status == 200, "{reply:?}");
        Ok((Instant::now(), String::from_utf8(reply.body)?))
    }
}

/// The API server forgets where the gateway's watches are (410): a gateway that was held meanwhile lists everything again
/// and serves what it missed. All of it counts: what was missed is on one of the last pages, and every page is asked for.
fn relist(world: &KubeWorld, fleet: &Fleet, gateway: &mut Gateway) -> Result<()> {
    const MISSED: &str = "missed";
    // Of the first device as well, and on the last page but one.
    const MISSED_PROCESS: &str = "p-09000";
    let device = fleet.devices().first().context("no device")?.clone();
    gateway.process.signal(Signal::SIGSTOP)?;
    let restart = || -> Result<()> {
        world.api.stop(Part::ApiServer, Signal::SIGKILL)?;
        world.api.start_part(Part::ApiServer)?;
        world.api.await_ready()
    };
    // The first takes the watches away, and the second does not know what was written before it.
    restart()?;
    let patch = json!({"spec": {"args": [MISSED]}});
    world
        .api
        .client()
        .merge_patch(KubeWorld::PROCESSES, MISSED_PROCESS, &patch)?;
    restart()?;
    let (mark, cpu) = (world.api.audit_mark()?, cpu_time(gateway)?);
    gateway.process.signal(Signal::SIGCONT)?;
    let began = Instant::now();
    let udp = gateway.udp();
    wait::until_true("the missed change to be served", PATIENCE, || {
        let reply = fleet.block_on(device.desired(udp, None, None))?;
        Ok(String::from_utf8_lossy(&reply.body).contains(MISSED))
    })?;
    wait::until_true("every page to have been asked for", PATIENCE, || {
        let asked = asked(&world.asked_since(mark)?);
        Ok(asked
            .get("list deviceprocesses")
            .is_some_and(|lists| *lists >= PAGES))
    })?;
    let took = began.elapsed();
    let relists = gateway.metric("apollo_gateway_kube_relists_total", "")?;
    let asked = asked(&world.asked_since(mark)?);
    eprintln!(
        "{relists} watches listed again: served in {took:.1?}, {:.1?} of the gateway's CPU time, asked {asked:?}, resident {} KiB then",
        cpu_time(gateway)?.saturating_sub(cpu),
        gateway.process.resident_bytes()? / 1024
    );
    ensure!(relists > 0.0, "nothing was listed again: {asked:?}");
    ensure!(took < START_WITHIN, "{took:?} to list");
    Ok(())
}

/// CPU time of a gateway so far: user and system, in ticks of 10 ms (proc(5)).
fn cpu_time(gateway: &Gateway) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", gateway.process.pid()))?;
    let (_, fields) = stat.rsplit_once(") ").context("no name in stat")?;
    let ticks = |at: usize| -> Result<u64> { Ok(fields.split(' ').nth(at).context("no time")?.parse()?) };
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}
