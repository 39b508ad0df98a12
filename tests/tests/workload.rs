//! Ten thousand observations in through `observe --stdin`, over real QUIC, and out of the gateway, field by field.

use anyhow::{Context, Result, ensure};
use apollo_tests::{
    harness::{INSTANCE, World},
    workload,
};
use apollo_wire::{Observation, Report, UnixMillis, binary};
use serde_json::Value;

/// As many as the reference workload has.
const COUNT: u32 = 10_000;
const SEED: u64 = 20_261_123;
const DEVICE: &str = "buoy-17";

#[test]
fn what_goes_in_at_the_device_comes_out_at_the_gateway_field_by_field() -> Result<()> {
    let observations = workload::load(SEED, COUNT)?;
    let world = World::new(&[])?;
    world
        .gateway
        .apply(&workload::device_processes(&observations, DEVICE))?;
    let agent = world.agent(DEVICE)?;
    agent
        .observe_lines(&workload::ndjson(&observations)?)?
        .success()?;
    assert_eq!(agent.pending()?, observations.len() as u64);

    agent.sync_once()?.success()?;
    assert_eq!(agent.pending()?, 0);
    let requests = |route: &str| {
        let labels = format!("route=\"{route}\"");
        world.gateway.metric("apollo_gateway_requests_total", &labels)
    };
    // Of 1,000 rows each, with one poll for all of them.
    assert_eq!(
        (requests("report")?, requests("desired")?),
        (reports_of_1000(&observations), 1.0)
    );
    let stored = world.gateway.observations(DEVICE)?;
    let instance = agent.instance()?;
    compare(&observations, &stored, &instance)?;

    // Each process's status is that of its last observation.
    for process in observations
        .iter()
        .map(|o| o.process.clone())
        .collect::<std::collections::BTreeSet<_>>()
    {
        let last = observations
            .iter()
            .rfind(|o| o.process == process)
            .context("no observation")?;
        let status = world.status(process.name())?;
        assert_eq!(status["sync"]["sequence"], last.seq, "{process}");
        assert_eq!(
            (&status["reason"], &status["message"]),
            (&last.reason.clone().into(), &last.message.clone().into())
        );
    }

    // A second exchange has nothing to send.
    let accepted = |verdict: &str| {
        world.gateway.metric(
            "apollo_gateway_observations_total",
            &format!("verdict=\"{verdict}\""),
        )
    };
    agent.sync_once()?.success()?;
    assert_eq!(
        accepted("accepted")?,
        f64::from(u32::try_from(observations.len())?)
    );
    assert_eq!(accepted("duplicate")?, 0.0);
    assert_eq!(world.gateway.observations(DEVICE)?, stored);
    Ok(())
}

/// How many reports of 1,000 observations that makes.
fn reports_of_1000(observations: &[Observation]) -> f64 {
    f64::from(u32::try_from(observations.len().div_ceil(1_000)).unwrap_or(u32::MAX))
}

/// The figure of the README and of docs/wire.md, on data of the same kind.
#[test]
fn an_observation_takes_less_than_6_bytes_in_reports_of_1000() -> Result<()> {
    let observations = workload::generate(SEED, COUNT, UnixMillis::new(1_800_000_000_000)?)?;
    let mut bytes = 0;
    for rows in observations.chunks(1_000) {
        let mut report = Report::empty(INSTANCE.parse()?, UnixMillis::new(1_800_000_001_500)?);
        report.observations = rows.to_vec();
        bytes += binary::encode_report(&report).len();
    }
    ensure!(
        bytes < 6 * observations.len(),
        "{bytes} bytes for {} observations",
        observations.len()
    );
    Ok(())
}

/// The agent numbers rows in the order they come, from 1, as the workload does.
fn compare(sent: &[Observation], stored: &[Value], instance: &str) -> Result<()> {
    ensure!(
        sent.len() == stored.len(),
        "sent {}, stored {}",
        sent.len(),
        stored.len()
    );
    let mut stored: Vec<&Value> = stored.iter().collect();
    stored.sort_by_key(|observation| observation["seq"].as_u64());
    for (sent, stored) in sent.iter().zip(stored) {
        // What the gateway adds, and where it came from.
        assert_eq!(
            (
                &stored["device"],
                &stored["instance"],
                &stored["epoch"],
                &stored["orphaned"]
            ),
            (&DEVICE.into(), &instance.into(), &1.into(), &false.into())
        );
        ensure!(
            stored["receivedAt"].is_string() && stored["correctedAt"].is_string(),
            "{stored}"
        );
        // Everything the device said, parsed from the very same JSON names.
        let same: Observation = serde_json::from_value(stored.clone()).with_context(|| stored.to_string())?;
        assert_eq!(&same, sent);
    }
    Ok(())
}

#[test]
fn a_bad_line_is_named_and_the_others_are_stored() -> Result<()> {
    let world = World::new(&[])?;
    let agent = world.agent(DEVICE)?;
    let mut lines = workload::ndjson(&workload::generate(
        1,
        2,
        apollo_wire::UnixMillis::new(1_700_000_000_000)?,
    )?)?;
    lines.insert_str(0, "{\"process\":\"default/x\",\"state\":\"Dancing\"}\n");
    let done = agent.observe_lines(&lines)?.exited(1)?;
    ensure!(
        done.stderr.contains('1') && done.stderr.to_lowercase().contains("line"),
        "{done:?}"
    );
    assert_eq!(agent.pending()?, 2);
    Ok(())
}
