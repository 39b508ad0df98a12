//! What both programs serve at `/metrics`: the names of the documentation and no others, each thing counted once, and
//! no device's name.

use std::{collections::BTreeSet, net::SocketAddr, path::Path};

use anyhow::{Context, Result, ensure};
use apollo_tests::{
    harness::{PATIENCE, World, metric, metrics_text, observation, report, wait},
    linksim::{Config, LinkSim},
};

/// Exchanges after which the counts are compared: with one datagram each way, and 28 bytes of headers for each of them,
/// counting without headers would be off by more than [`UNCOUNTED_BYTES`].
const EXCHANGES: f64 = 30.0;
/// What the link may have carried one way and the agent not yet counted: it counts at the end of an exchange, and
/// acknowledgements come after it.
const UNCOUNTED_BYTES: f64 = 350.0;

/// The names that `text` serves, as the format says them: counters without `_total`.
fn served(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|rest| rest.split(' ').next())
        .map(str::to_owned)
        .collect()
}

/// The names with this prefix on a page of the documentation, in the same form.
fn documented(page: &str, prefix: &str) -> Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page))?;
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with(prefix));
    Ok(names
        .map(|name| name.trim_end_matches("_total").to_owned())
        .collect())
}

#[test]
fn the_gateway_serves_the_metrics_of_its_page_and_no_devices_name() -> Result<()> {
    let world = World::new(&[])?;
    world.bind("collector", "buoy-17")?;
    world.bind("other", "buoy-18")?;
    let device = world.device("buoy-17")?;
    let all = report(&[
        observation(1, "collector", 0),
        observation(2, "collector", 0),
        observation(3, "unknown", 0),
        observation(4, "other", 0),
        observation(5, "collector", -3_600_000),
    ]);
    assert_eq!(device.report(&all)?.status, 200);
    assert_eq!(device.report(&all)?.status, 200);
    assert_eq!(device.desired(None)?.status, 200);
    let text = world.gateway.admin_get("/metrics")?.1;
    // This gateway is on the embedded store: it asks nothing of an API server.
    let mut expected = documented("telemetry.md", "apollo_gateway_")?;
    expected.retain(|name| !name.starts_with("apollo_gateway_kube_"));
    assert_eq!(served(&text), expected);
    for (name, labels, value) in [
        ("apollo_gateway_observations_total", "verdict=\"accepted\"", 2.0),
        ("apollo_gateway_observations_total", "verdict=\"orphaned\"", 1.0),
        // The orphan too is in history by now.
        ("apollo_gateway_observations_total", "verdict=\"duplicate\"", 3.0),
        ("apollo_gateway_observations_total", "verdict=\"rejected\"", 4.0),
        ("apollo_gateway_rejections_total", "reason=\"NotBound\"", 2.0),
        (
            "apollo_gateway_rejections_total",
            "reason=\"TimestampInFuture\"",
            2.0,
        ),
        (
            "apollo_gateway_requests_total",
            "route=\"report\",code=\"200\"",
            2.0,
        ),
        (
            "apollo_gateway_requests_total",
            "route=\"desired\",code=\"200\"",
            1.0,
        ),
        (
            "apollo_gateway_request_duration_seconds_count",
            "route=\"report\"",
            2.0,
        ),
        (
            "apollo_gateway_status_writes_total",
            "kind=\"DeviceProcess\",result=\"ok\"",
            1.0,
        ),
        ("apollo_gateway_status_writes_total", "result=\"error\"", 0.0),
        ("apollo_gateway_connections", "", 1.0),
        ("apollo_gateway_handshakes_total", "kind=\"full\"", 1.0),
    ] {
        ensure!(
            metric(&text, name, labels) == value,
            "{name} {labels} is not {value}:\n{text}"
        );
    }
    ensure!(!text.contains("buoy"), "a device is a label:\n{text}");
    Ok(())
}

#[test]
fn the_agent_serves_the_metrics_of_its_page_and_counts_what_the_link_carried() -> Result<()> {
    let world = World::new(&[])?;
    let link = LinkSim::start(Config::new(world.gateway.udp()))?;
    let agent = world.agent_through("buoy-17", link.local_addr())?;
    let running = agent.start(&[
        "--metrics-listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
        "--heartbeat",
        "200ms",
    ])?;
    let address: SocketAddr = wait::until("the address of the metrics", PATIENCE, || {
        let log = running.stderr()?;
        let line = log
            .split_inclusive('\n')
            .find(|line| line.contains("serving metrics") && line.ends_with('\n'));
        let line: Option<serde_json::Value> = line.map(serde_json::from_str).transpose()?;
        let address = line.and_then(|line| line["fields"]["address"].as_str().map(str::parse));
        Ok(address.transpose()?)
    })?;
    agent.observe("default/collector", &["--state", "Running"])?;
    wait::until_true("the row to be delivered", PATIENCE, || Ok(agent.pending()? == 0))?;
    let text = wait::until("the agent's count to be the link's", PATIENCE, || {
        let (text, link) = (metrics_text(address)?, link.stats());
        let differs = |direction: &str, bytes: u64| -> Result<f64> {
            let labels = format!("direction=\"{direction}\"");
            let counted = metric(&text, "apollo_agent_ip_bytes_total", &labels);
            Ok((f64::from(u32::try_from(bytes)?) - counted).abs())
        };
        let most = differs("sent", link.up.ip_bytes)?.max(differs("received", link.down.ip_bytes)?);
        let enough = metric(&text, "apollo_agent_sync_total", "result=\"ok\"") >= EXCHANGES;
        Ok((enough && most <= UNCOUNTED_BYTES).then_some(text))
    })?;
    assert_eq!(served(&text), documented("agent.md", "apollo_agent_")?);
    assert_eq!(metric(&text, "apollo_agent_queue_rows", ""), 0.0);
    ensure!(!text.contains("buoy"), "a device is a label:\n{text}");
    let results = text
        .lines()
        .filter(|line| line.starts_with("apollo_agent_sync_total"));
    ensure!(
        results.count() == 1,
        "something went wrong on a good link:\n{text}"
    );
    world
        .gateway
        .observations("buoy-17")?
        .first()
        .context("nothing arrived")?;
    Ok(())
}
