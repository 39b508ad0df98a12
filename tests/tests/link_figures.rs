//! What one observation costs on a satellite link of 300 ms one way: bytes as a metered link bills them, time in units
//! of the link's round trip.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use apollo_tests::{
    harness::{Agent, PATIENCE, World, wait},
    linksim::{Config, LinkSim, Stats},
};

const ONE_WAY: Duration = Duration::from_millis(300);
const RTT: Duration = Duration::from_millis(600);
/// Silence that means an exchange is over, acknowledgements and all: longer than a round trip with the peer's delayed
/// acknowledgement (25 ms) and anything a loaded machine adds.
const QUIET: Duration = Duration::from_millis(1_500);
/// How much longer than whole round trips an exchange may take on a loaded machine, in round trips.
const TOLERANCE: f64 = 0.6;

struct Exchange {
    round_trips: f64,
    used: Stats,
}

/// A device whose agent knows its desired state already, so that its next poll is answered 304.
fn world() -> Result<(World, LinkSim, Agent)> {
    let world = World::new(&[])?;
    // Suspended: the agent has nothing to start, so it observes nothing by itself.
    world.gateway.apply(
        "apiVersion: apollo.azure.com/v1alpha1\nkind: DeviceProcess\n\
         metadata: {name: collector, namespace: default}\n\
         spec: {deviceRef: {name: buoy-17}, command: [/bin/true], suspend: true}\n",
    )?;
    world.device("buoy-17")?.is_served("collector")?;
    world.agent("buoy-17")?.sync_once()?.success()?;
    let link = LinkSim::start(Config {
        delay: ONE_WAY,
        ..Config::new(world.gateway.udp())
    })?;
    let agent = world.agent_through("buoy-17", link.local_addr())?;
    Ok((world, link, agent))
}

/// Waits until nothing has crossed the link for [`QUIET`].
fn quiet(link: &LinkSim) -> Result<Stats> {
    let (mut last, mut since) = (link.stats(), Instant::now());
    wait::until("the link to fall silent", PATIENCE, || {
        let now = link.stats();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        Ok((since.elapsed() >= QUIET).then_some(now))
    })
}

/// Measures from the first datagram after `before` until the agent's queue is empty: the verdict has been stored.
fn exchange(link: &LinkSim, agent: &Agent, before: Stats) -> Result<Exchange> {
    wait::until_true("the first datagram", PATIENCE, || {
        Ok(link.stats().up.datagrams > before.up.datagrams)
    })?;
    let started = Instant::now();
    let database =
        rusqlite::Connection::open_with_flags(agent.database(), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    wait::until_true("the observation to be settled", PATIENCE, || {
        let rows: i64 = database.query_row("select count(*) from queue", [], |row| row.get(0))?;
        Ok(rows == 0)
    })?;
    let round_trips = started.elapsed().as_secs_f64() / RTT.as_secs_f64();
    Ok(Exchange {
        round_trips,
        used: quiet(link)? - before,
    })
}

fn check(what: &str, exchange: &Exchange, round_trips: f64, ip_bytes: u64) -> Result<()> {
    let used = exchange.used;
    println!(
        "{what}: {:.2} round trips, {} IP bytes (up {} in {}, down {} in {})",
        exchange.round_trips,
        used.ip_bytes(),
        used.up.ip_bytes,
        used.up.datagrams,
        used.down.ip_bytes,
        used.down.datagrams
    );
    ensure!(
        used.ip_bytes() <= ip_bytes,
        "{what}: {} IP bytes, at most {ip_bytes}: {used:?}",
        used.ip_bytes()
    );
    let (least, most) = (round_trips - 0.1, round_trips + TOLERANCE);
    let taken = exchange.round_trips;
    ensure!(
        (least..most).contains(&taken),
        "{what}: {taken:.2} round trips, expected {round_trips}"
    );
    Ok(())
}

#[test]
fn one_observation_and_a_304_cost_2_round_trips_and_5_000_bytes_from_a_cold_start() -> Result<()> {
    let (_world, link, agent) = world()?;
    agent.observe("default/collector", &["--state", "Running"])?;
    let before = link.stats();
    let exchange = std::thread::scope(|scope| {
        let sync = scope.spawn(|| agent.sync_once()?.success());
        let exchange = exchange(&link, &agent, before);
        sync.join().map_err(|_| anyhow::anyhow!("sync panicked"))??;
        exchange
    })?;
    check("cold, mutual TLS", &exchange, 2.0, 5_000)
}

#[test]
fn one_observation_and_a_304_cost_1_round_trip_and_450_bytes_on_a_warm_connection() -> Result<()> {
    let (world, link, agent) = world()?;
    let polls = |world: &World| world.gateway.metric("apollo_gateway_requests_total", "304");
    // The interval leaves room for the silence that ends each measurement.
    let _running = agent.start(&["--sync-interval", "6s"])?;
    wait::until_true("the first exchange", PATIENCE, || {
        Ok(link.stats().down.datagrams > 3)
    })?;
    let before = quiet(&link)?;
    let unchanged = polls(&world)?;
    agent.observe("default/collector", &["--state", "Running"])?;
    let exchange = exchange(&link, &agent, before)?;
    ensure!(
        polls(&world)? > unchanged,
        "no poll was answered 304 in this exchange"
    );
    check("warm", &exchange, 1.0, 450)
}
