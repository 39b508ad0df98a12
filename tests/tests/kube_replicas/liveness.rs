//! Liveness is every replica's to see and one replica's to write.

use anyhow::{Result, ensure};
use apollo_tests::harness::{
    PATIENCE,
    kube::{Kind, KubeWorld},
    observation, report, wait,
};
use serde_json::{Value, json};

use super::{STALE_AFTER, device, set_device_spec, until_agent, until_state, world};

const CONNECTED: [&str; 3] = ["True", "AgentConnected", "agent connected"];
const LOST: [&str; 3] = ["False", "AgentLost", "no report within the expected window"];
const BLOCKED: [&str; 3] = ["False", "AgentBlocked", "device is blocked"];

/// Successful writes of the status of a Device since a mark.
fn written(world: &KubeWorld, device: &str, mark: apollo_tests::harness::kube::AuditMark) -> Result<usize> {
    let entries = world.asked_since(mark)?;
    let is_write = |entry: &&apollo_tests::harness::kube::AuditEntry| {
        entry.verb == "patch" && entry.resource == "devices" && entry.name == device && entry.code == 200
    };
    Ok(entries.iter().filter(is_write).count())
}

#[test]
fn one_replica_marks_a_silent_device_and_any_brings_it_back() -> Result<()> {
    let Some(world) = world("kube_replicas: lost and found", &[])? else {
        return Ok(());
    };
    world.bind("collector", "buoy-17")?;
    let gateways = [
        world.gateway("one", &["--stale-after", STALE_AFTER])?,
        world.gateway("two", &["--stale-after", STALE_AFTER])?,
        world.gateway("three", &["--stale-after", STALE_AFTER])?,
    ];
    let here = device(&world, "buoy-17", &gateways[0])?;
    ensure!(here.report(&report(&[observation(1, "collector", 0)]))?.status == 200);
    until_agent(&world, "collector", CONNECTED)?;
    until_state(&world, "buoy-17", "Connected")?;
    let mark = world.api.audit_mark()?;
    until_state(&world, "buoy-17", "Lost")?;
    until_agent(&world, "collector", LOST)?;
    wait::until_true("the audit log to have the marking", PATIENCE, || {
        Ok(written(&world, "buoy-17", mark)? == 1)
    })?;
    // Reading desired state is no sign of life; an empty report is, whoever takes it.
    let there = device(&world, "buoy-17", &gateways[1])?;
    ensure!(there.desired(None)?.status == 200);
    ensure!(world.device_status("buoy-17")?["state"] == "Lost");
    ensure!(there.report(&report(&[]))?.status == 200);
    until_state(&world, "buoy-17", "Connected")?;
    until_agent(&world, "collector", CONNECTED)?;
    // Marked again by one of them, and told as the same Event that happened again.
    until_state(&world, "buoy-17", "Lost")?;
    wait::until_true("the Event of being lost to count two", PATIENCE, || {
        let events = events(&world, "buoy-17")?;
        let lost = events.iter().find(|event| event["reason"] == "DeviceLost");
        // Another replica may have won the second race: then it wrote an Event of its own.
        let of_all: i64 = events
            .iter()
            .filter(|event| event["reason"] == "DeviceLost")
            .filter_map(|event| event["count"].as_i64())
            .sum();
        Ok(of_all == 2 && lost.is_some_and(|event| event["type"] == "Warning"))
    })?;
    let events = events(&world, "buoy-17")?;
    ensure!(
        events
            .iter()
            .any(|event| event["reason"] == "DeviceConnected" && event["type"] == "Normal"),
        "{events:?}"
    );
    Ok(())
}

/// The core/v1 Events about a Device.
fn events(world: &KubeWorld, device: &str) -> Result<Vec<Value>> {
    let mut events = world.api.client().items(Kind::CORE_EVENTS.within("default"))?;
    events.retain(|event| {
        event["involvedObject"]["name"] == device && event["involvedObject"]["kind"] == "Device"
    });
    Ok(events)
}

#[test]
fn a_window_of_its_own_and_an_announced_sleep_are_waited_for() -> Result<()> {
    let Some(world) = world("kube_replicas: windows", &[])? else {
        return Ok(());
    };
    world.bind("asleep", "buoy-1")?;
    let gateways = [
        world.gateway("one", &["--stale-after", STALE_AFTER])?,
        world.gateway("two", &["--stale-after", STALE_AFTER])?,
    ];
    for name in ["buoy-1", "buoy-2", "buoy-3"] {
        let mut said = report(&[]);
        if name == "buoy-1" {
            said["nextContactSeconds"] = json!(600);
        }
        ensure!(device(&world, name, &gateways[0])?.report(&said)?.status == 200);
    }
    set_device_spec(&world, "buoy-2", &json!({"staleAfter": "1h"}))?;
    until_state(&world, "buoy-3", "Lost")?;
    until_state(&world, "buoy-1", "Sleeping")?;
    until_agent(&world, "asleep", CONNECTED)?;
    ensure!(world.device_status("buoy-2")?["state"] == "Connected");
    Ok(())
}

#[test]
fn a_blocked_device_is_refused_by_every_replica_until_it_is_let_in_again() -> Result<()> {
    let Some(world) = world("kube_replicas: blocked", &[])? else {
        return Ok(());
    };
    world.bind("collector", "buoy-17")?;
    let gateways = [world.gateway("one", &[])?, world.gateway("two", &[])?];
    let devices = [
        device(&world, "buoy-17", &gateways[0])?,
        device(&world, "buoy-17", &gateways[1])?,
    ];
    ensure!(
        devices[0]
            .report(&report(&[observation(1, "collector", 0)]))?
            .status
            == 200
    );
    set_device_spec(&world, "buoy-17", &json!({"blocked": true}))?;
    until_state(&world, "buoy-17", "Blocked")?;
    until_agent(&world, "collector", BLOCKED)?;
    for device in &devices {
        wait::until_true("every replica to refuse it", PATIENCE, || {
            Ok(device.report(&report(&[]))?.status == 403)
        })?;
    }
    let before = world.status("collector")?;
    ensure!(
        devices[1]
            .report(&report(&[observation(2, "collector", 0)]))?
            .status
            == 403
    );
    ensure!(
        world.status("collector")? == before,
        "nothing of a blocked device is settled"
    );
    set_device_spec(&world, "buoy-17", &json!({"blocked": false}))?;
    wait::until_true("it to be let in", PATIENCE, || {
        Ok(devices[1]
            .report(&report(&[observation(2, "collector", 0)]))?
            .status
            == 200)
    })?;
    until_state(&world, "buoy-17", "Connected")?;
    until_agent(&world, "collector", CONNECTED)?;
    ensure!(world.status("collector")?["sync"]["sequence"] == 2);
    Ok(())
}
