//! What counts as a sign of life, and that a condition says the same thing whichever path wrote it.

use std::time::Duration;

use anyhow::Result;
use apollo_tests::harness::{Device, PATIENCE, World, observation, report, wait};
use serde_json::{Value, json};

/// Short enough for a test, long enough that a loaded machine does not miss it between two reports.
const STALE_AFTER: &str = "2s";

fn world() -> Result<(World, Device)> {
    let world = World::new(&["--stale-after", STALE_AFTER])?;
    world.bind("collector", "buoy-17")?;
    let device = world.device("buoy-17")?;
    Ok((world, device))
}

/// What people and alerts see of the condition.
fn connected(world: &World) -> Result<[Value; 3]> {
    let condition = world.condition("collector", "AgentConnected")?;
    Ok(["status", "reason", "message"].map(|field| condition[field].clone()))
}

fn yes() -> [Value; 3] {
    ["True", "AgentConnected", "agent connected"].map(Value::from)
}

fn lost() -> [Value; 3] {
    ["False", "AgentLost", "no report within the expected window"].map(Value::from)
}

fn until(world: &World, expected: &[Value; 3]) -> Result<()> {
    wait::until_true(&format!("AgentConnected to be {expected:?}"), PATIENCE, || {
        Ok(connected(world)? == *expected)
    })
}

#[test]
fn finding_04_a_lost_device_comes_back_on_an_empty_report() -> Result<()> {
    let (world, device) = world()?;
    assert_eq!(
        device.report(&report(&[observation(1, "collector", 0)]))?.status,
        200
    );
    until(&world, &yes())?;
    until(&world, &lost())?;
    wait::until_true("the Device to be Lost", PATIENCE, || {
        Ok(world.gateway.device("buoy-17")?["status"]["state"] == "Lost")
    })?;

    assert_eq!(device.report(&report(&[]))?.status, 200);
    until(&world, &yes())?;
    wait::until_true("the Device to be Connected", PATIENCE, || {
        Ok(world.gateway.device("buoy-17")?["status"]["state"] == "Connected")
    })
}

#[test]
fn finding_05_connect_report_and_reconnect_write_one_condition_once() -> Result<()> {
    let world = World::new(&[])?;
    world.bind("collector", "buoy-17")?;
    let identity = world.pki.device("buoy-17")?;
    world.connect(&identity)?.report(&report(&[]))?;
    until(&world, &yes())?;
    let written = world.gateway.device_process("collector")?;

    // Reconnects, empty reports and polls: the object is not touched, so neither is the condition.
    for _ in 0..5 {
        let device = world.connect(&identity)?;
        assert_eq!(device.desired(None)?.status, 200);
        assert_eq!(device.report(&report(&[]))?.status, 200);
    }
    assert_eq!(world.gateway.device_process("collector")?, written);
    let writes = world
        .gateway
        .metric("apollo_gateway_status_writes_total", "kind=\"DeviceProcess\"")?;
    assert_eq!(writes, 1.0);

    // A report that changes the status leaves the condition as it is.
    world
        .connect(&identity)?
        .report(&report(&[observation(1, "collector", 0)]))?;
    let before = apollo_tests::harness::condition(&written["status"], "AgentConnected");
    assert_eq!(world.condition("collector", "AgentConnected")?, before);
    Ok(())
}

#[test]
fn finding_05_lost_and_found_use_the_same_words_each_time() -> Result<()> {
    let (world, device) = world()?;
    for round in 1..=2 {
        device.report(&report(&[observation(round, "collector", 0)]))?;
        until(&world, &yes())?;
        until(&world, &lost())?;
    }
    Ok(())
}

#[test]
fn finding_11_reading_desired_state_is_no_heartbeat() -> Result<()> {
    let (world, device) = world()?;
    device.report(&report(&[observation(1, "collector", 0)]))?;
    until(&world, &yes())?;
    // Polls all the time, which must not help.
    let mut polls = 0;
    wait::until_true("a device that only polls to be Lost", PATIENCE, || {
        assert_eq!(device.desired(None)?.status, 200);
        polls += 1;
        Ok(connected(&world)? == lost())
    })?;
    assert!(polls > 3, "{polls} polls");
    Ok(())
}

#[test]
fn a_device_that_said_when_it_calls_next_sleeps_until_then_and_is_lost_after_it() -> Result<()> {
    let (world, device) = world()?;
    let mut sleepy = report(&[observation(1, "collector", 0)]);
    sleepy["nextContactSeconds"] = json!(3600);
    device.report(&sleepy)?;
    wait::until_true("the Device to be Sleeping", PATIENCE, || {
        Ok(world.gateway.device("buoy-17")?["status"]["state"] == "Sleeping")
    })?;
    // Past the staleness window, which does not apply to a device that is expected to be silent.
    wait::pause(Duration::from_secs(3));
    assert_eq!(connected(&world)?, yes());
    assert_eq!(world.gateway.device("buoy-17")?["status"]["state"], "Sleeping");
    Ok(())
}
