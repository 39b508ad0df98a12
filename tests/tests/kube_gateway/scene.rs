//! A world with one device, and how to look at it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{
    Device, Gateway, PATIENCE, Reply, condition,
    kube::{Kind, KubeWorld},
    observation, report, skip, wait,
};
use serde_json::{Value, json};

/// The device of most stories, and its process.
pub(crate) const DEVICE: &str = "buoy-17";
pub(crate) const PROCESS: &str = "collector";

/// A world; `None`, said loudly, if the machine cannot run the test.
pub(crate) fn world(test: &str) -> Result<Option<KubeWorld>> {
    if let Some(why) = KubeWorld::missing() {
        skip(test, &why)?;
        return Ok(None);
    }
    Ok(Some(KubeWorld::new()?))
}

/// Connects a device to a gateway.
pub(crate) fn connect(world: &KubeWorld, gateway: &Gateway, name: &str) -> Result<Device> {
    Device::connect(gateway.udp(), &world.pki, Some(&world.pki.device(name)?))
}

/// Reports sequences of [`PROCESS`].
pub(crate) fn send(device: &Device, sequences: &[u64]) -> Result<Reply> {
    let observations = sequences.iter().map(|seq| observation(*seq, PROCESS, 0));
    device.report(&report(&observations.collect::<Vec<_>>()))
}

/// Reports until it is settled.
pub(crate) fn settle(device: &Device, sequences: &[u64]) -> Result<()> {
    wait::until_true("the report to be settled", PATIENCE, || {
        Ok(send(device, sequences)?.status == 200)
    })
}

/// A 503 that says when to come back.
pub(crate) fn is_busy(reply: &Reply) -> Result<()> {
    ensure!(reply.status == 503, "{reply:?}");
    let seconds: u64 = reply.header("retry-after").context("no Retry-After")?.parse()?;
    ensure!((1..=60).contains(&seconds), "Retry-After: {seconds}");
    Ok(())
}

/// Waits until `/readyz` is 503 and contains `text`.
pub(crate) fn await_not_ready(gateway: &Gateway, text: &str) -> Result<()> {
    let mut last = String::new();
    let waited = wait::until_true(&format!("/readyz to say {text:?}"), PATIENCE, || {
        let (status, body) = gateway.admin_get("/readyz")?;
        last = format!("{status} {body}");
        Ok(status == 503 && body.contains(text))
    });
    waited.context(last)
}

/// Waits until `/readyz` is 200.
pub(crate) fn await_ready(gateway: &Gateway) -> Result<()> {
    let mut last = String::new();
    let waited = wait::until_true("/readyz to be 200", PATIENCE * 2, || {
        let (status, body) = gateway.admin_get("/readyz")?;
        last = format!("{status} {body}");
        Ok(status == 200)
    });
    waited.context(last)
}

/// How many lines a gateway has logged that contain `text`.
pub(crate) fn logged(gateway: &Gateway, text: &str) -> Result<usize> {
    let log = gateway.process.stderr()?;
    Ok(log.lines().filter(|line| line.contains(text)).count())
}

/// The sequence that a process's status is about.
pub(crate) fn sequence(world: &KubeWorld, process: &str) -> Result<Value> {
    Ok(world.status(process)?["sync"]["sequence"].clone())
}

/// What people see of `AgentConnected`.
pub(crate) fn connected(world: &KubeWorld, process: &str) -> Result<[Value; 3]> {
    let condition = condition(&world.status(process)?, "AgentConnected");
    Ok(["status", "reason", "message"].map(|field| condition[field].clone()))
}

/// The contract's words for it.
pub(crate) fn yes() -> [Value; 3] {
    ["True", "AgentConnected", "agent connected"].map(Value::from)
}

/// The contract's words for a lost device.
pub(crate) fn lost() -> [Value; 3] {
    ["False", "AgentLost", "no report within the expected window"].map(Value::from)
}

/// Waits until `AgentConnected` of a process says this.
pub(crate) fn await_connected(world: &KubeWorld, process: &str, expected: &[Value; 3]) -> Result<()> {
    wait::until_true(&format!("AgentConnected to be {expected:?}"), PATIENCE, || {
        Ok(connected(world, process)? == *expected)
    })
}

/// Waits until a Device is in this state.
pub(crate) fn await_state(world: &KubeWorld, device: &str, state: &str) -> Result<()> {
    wait::until_true(&format!("{device} to be {state}"), PATIENCE, || {
        Ok(world.device_status(device)?["state"] == state)
    })
}

/// Creates a Device as an operator does.
pub(crate) fn create_device(world: &KubeWorld, name: &str, spec: &Value) -> Result<()> {
    let object = json!({
        "apiVersion": Kind::DEVICES.api_version, "kind": "Device", "metadata": {"name": name}, "spec": spec,
    });
    world.api.client().create(Kind::DEVICES, &object)?;
    Ok(())
}

/// The counts of the Events about an object, by reason: each Event's own.
pub(crate) fn events(world: &KubeWorld, object: &str, reason: &str) -> Result<Vec<u64>> {
    let events = world.api.client().items(Kind::CORE_EVENTS)?;
    let about = events
        .iter()
        .filter(|event| event["involvedObject"]["name"] == object && event["reason"] == reason);
    Ok(about.map(|event| event["count"].as_u64().unwrap_or(0)).collect())
}

/// Waits until the counts are these.
pub(crate) fn await_events(world: &KubeWorld, object: &str, reason: &str, counts: &[u64]) -> Result<()> {
    wait::until_true(
        &format!("{reason} of {object} to be {counts:?}"),
        PATIENCE,
        || Ok(events(world, object, reason)? == counts),
    )
}

/// Lets a gateway live through something that should not change anything.
pub(crate) fn live(duration: Duration) {
    wait::pause(duration);
}
