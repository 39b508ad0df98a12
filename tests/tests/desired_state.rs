//! Desired state on the wire: conditional polls, what the ETag depends on, and what a poll costs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use apollo_tests::{
    harness::{Agent, Device, Gateway, GatewayOptions, PATIENCE, Pki, Sandbox, StubGateway, World},
    workload::device_process,
};

fn polls(gateway: &Gateway, code: u16) -> Result<f64> {
    let text = gateway.admin_get("/metrics")?.1;
    let polls = text
        .lines()
        .filter(|line| line.contains("route=\"desired\""))
        .collect::<Vec<_>>()
        .join("\n");
    let name = "apollo_gateway_requests_total";
    Ok(apollo_tests::harness::metric(
        &polls,
        name,
        &format!("code=\"{code}\""),
    ))
}

fn etag(device: &Device) -> Result<String> {
    let reply = device.desired(None)?;
    assert_eq!(reply.status, 200);
    Ok(reply.header("etag").context("a 200 without ETag")?.to_owned())
}

#[test]
fn finding_03_a_304_without_an_etag_does_not_make_the_agent_forget_its_own() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let pki = Pki::new(&sandbox)?;
    let stub = StubGateway::start(&pki, "buoy-17")?;
    let agent = Agent::new(&sandbox, &pki, &pki.device("buoy-17")?, stub.udp());
    // A process of its own each time, so what is remembered was persisted.
    for _ in 0..4 {
        agent.sync_once()?.success()?;
    }
    assert_eq!(
        stub.polls(),
        (3, 1),
        "(conditional, unconditional) polls: only the first may ask for all of it"
    );
    Ok(())
}

#[test]
fn an_agent_polls_conditionally_and_the_gateway_answers_304() -> Result<()> {
    let world = World::new(&[])?;
    world.bind("collector", "buoy-17")?;
    let device = world.device("probe")?;
    let answer = device.desired(Some(&etag(&device)?))?;
    assert_eq!((answer.status, answer.body.len()), (304, 0));

    let identity = world.pki.device("buoy-17")?;
    world.connect(&identity)?.is_served("collector")?;
    let agent = Agent::new(&world.sandbox, &world.pki, &identity, world.gateway.udp());
    let (full, unchanged) = (polls(&world.gateway, 200)?, polls(&world.gateway, 304)?);
    for _ in 0..4 {
        agent.sync_once()?.success()?;
    }
    assert_eq!(polls(&world.gateway, 200)? - full, 1.0);
    assert_eq!(polls(&world.gateway, 304)? - unchanged, 3.0);
    Ok(())
}

#[test]
fn finding_06_a_poll_costs_the_same_with_100_000_device_processes_as_with_10() -> Result<()> {
    const MANY: u32 = 100_000;
    let world = World::new(&[])?;
    world.bind("collector", "buoy-17")?;
    for number in 0..9 {
        world.bind(&format!("other-{number}"), "buoy-18")?;
    }
    let device = world.device("buoy-17")?;
    device.is_served("collector")?;
    let few = median_poll(&device)?;

    // 100 devices with 1,000 processes each, in one file.
    let many: String = (0..MANY)
        .map(|n| device_process(&format!("p-{n}"), &format!("truck-{}", n % 100)))
        .collect();
    let file = world.sandbox.write("many.yaml", &many)?;
    let mut command = std::process::Command::new(apollo_tests::harness::Program::Gateway.path()?);
    command.arg("apply").arg("-f").arg(&file);
    command
        .arg("--store")
        .arg(format!("embedded:{}", world.sandbox.join("gateway.db").display()));
    let applied = apollo_tests::harness::Running::finish(
        "apply-many",
        command,
        world.sandbox.path(),
        None,
        Duration::from_secs(300),
    )?;
    applied.success()?;
    // The gateway has taken up the last of them when it serves the truck's list with it.
    let truck = world.device("truck-99")?;
    apollo_tests::harness::wait::until_true("the index to hold them all", PATIENCE * 4, || {
        let body = truck.desired(None)?.json()?;
        Ok(body["processes"]
            .as_array()
            .is_some_and(|processes| processes.len() == 1_000))
    })?;

    let many = median_poll(&device)?;
    // A list or scan of 100,000 objects takes hundreds of milliseconds; noise on a loaded machine does not.
    ensure!(
        many < few * 5 + Duration::from_millis(20),
        "{few:?} with 10 objects, {many:?} with 100,010"
    );
    println!("median poll: {few:?} with 10 objects, {many:?} with 100,010");
    Ok(())
}

fn median_poll(device: &Device) -> Result<Duration> {
    let etag = etag(device)?;
    let mut times = Vec::new();
    for _ in 0..51 {
        let started = Instant::now();
        assert_eq!(device.desired(Some(&etag))?.status, 304);
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

#[test]
fn finding_07_the_etag_depends_on_names_generations_and_spec_hashes_alone() -> Result<()> {
    let object = |labels: &str, spec: &str| {
        format!(
            "apiVersion: apollo.azure.com/v1alpha1\nkind: DeviceProcess\n\
             metadata: {{name: collector, namespace: default, labels: {{{labels}}}}}\nspec: {spec}\n"
        )
    };
    let world = World::new(&[])?;
    world.gateway.apply(&object(
        "a: b",
        "{deviceRef: {name: buoy-17}, command: [/bin/true], args: [x]}",
    ))?;
    let device = world.device("buoy-17")?;
    device.is_served("collector")?;
    let first = etag(&device)?;

    // The same spec in other words, other labels, a new status: the same ETag.
    world.gateway.apply(&object(
        "c: d",
        "{args: [\"x\"], command: ['/bin/true'], deviceRef: {name: buoy-17}}",
    ))?;
    device.report(&apollo_tests::harness::report(&[
        apollo_tests::harness::observation(1, "collector", 0),
    ]))?;
    assert_eq!(etag(&device)?, first);

    // Another store with the same names, generations and specs: the same ETag.
    let options = GatewayOptions {
        name: "second".to_owned(),
        store: "second.db".to_owned(),
        ..GatewayOptions::default()
    };
    let second = Gateway::spawn(&world.sandbox, &world.pki, &options)?;
    second.apply(&object(
        "",
        "{deviceRef: {name: buoy-17}, command: [/bin/true], args: [x]}",
    ))?;
    let there = Device::connect(second.udp(), &world.pki, Some(&world.pki.device("buoy-17")?))?;
    there.is_served("collector")?;
    assert_eq!(etag(&there)?, first);

    // Another spec: another ETag.
    world.gateway.apply(&object(
        "",
        "{deviceRef: {name: buoy-17}, command: [/bin/true], args: [y]}",
    ))?;
    apollo_tests::harness::wait::until_true("a new ETag", PATIENCE, || Ok(etag(&device)? != first))?;
    Ok(())
}

#[test]
fn a_waiting_poll_is_answered_when_something_changes() -> Result<()> {
    let world = World::new(&[])?;
    world.bind("collector", "buoy-17")?;
    let device = world.device("buoy-17")?;
    device.is_served("collector")?;
    let first = etag(&device)?;
    let fields = [("accept", "application/json"), ("if-none-match", first.as_str())];
    let (answer, waited) = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let started = Instant::now();
            (
                device.request(http::Method::GET, "/v1/desired?wait=20", &fields, None),
                started.elapsed(),
            )
        });
        let applied = world.bind("second", "buoy-17");
        let answer = waiting.join();
        applied.and(answer.map_err(|_| anyhow::anyhow!("the poll panicked")))
    })?;
    let answer = answer?;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()?["processes"].as_array().map(Vec::len), Some(2));
    ensure!(
        waited < Duration::from_secs(20),
        "answered by its deadline, not by the change: {waited:?}"
    );

    // And with nothing new, after the time asked for.
    let etag = etag(&device)?;
    let fields = [("accept", "application/json"), ("if-none-match", etag.as_str())];
    let started = Instant::now();
    assert_eq!(
        device
            .request(http::Method::GET, "/v1/desired?wait=1", &fields, None)?
            .status,
        304
    );
    ensure!(
        started.elapsed() >= Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    Ok(())
}

#[test]
fn an_unknown_device_gets_an_empty_list() -> Result<()> {
    let world = World::new(&[])?;
    let reply = world.device("stranger")?.desired(None)?;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.json()?,
        serde_json::json!({"device": "stranger", "processes": []})
    );
    Ok(())
}
