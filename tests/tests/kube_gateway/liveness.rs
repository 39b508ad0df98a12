//! Who is connected, asleep, lost or blocked, when several gateways say it about the same objects.

use std::time::Duration;

use anyhow::{Result, ensure};
use apollo_tests::harness::{
    Gateway, PATIENCE,
    kube::{Kind, KubeWorld},
    report, wait,
};
use serde_json::{Value, json};

use crate::scene::{
    DEVICE, PROCESS, await_connected, await_events, await_state, connect, connected, create_device, events,
    live, lost, send, settle, world, yes,
};

/// Short enough for a test, long enough that a loaded machine does not miss it between two reports.
const STALE_AFTER: &str = "3s";

fn gateways(world: &KubeWorld, count: usize) -> Result<Vec<Gateway>> {
    let names = (0..count).map(|number| format!("gateway-{number}"));
    names
        .map(|name| world.gateway(&name, &["--stale-after", STALE_AFTER]))
        .collect()
}

#[test]
fn one_of_three_gateways_marks_a_silent_device_and_any_of_them_brings_it_back() -> Result<()> {
    let Some(world) = world("one_of_three_gateways_marks_a_silent_device_and_any_of_them_brings_it_back")?
    else {
        return Ok(());
    };
    world.bind(PROCESS, DEVICE)?;
    let gateways = gateways(&world, 3)?;
    let [first, second, _] = &gateways[..] else {
        anyhow::bail!("not three gateways");
    };
    settle(&connect(&world, first, DEVICE)?, &[1])?;
    await_connected(&world, PROCESS, &yes())?;
    let mark = world.api.audit_mark()?;
    await_state(&world, DEVICE, "Lost")?;
    await_connected(&world, PROCESS, &lost())?;
    // Time in which a second gateway would say it again.
    live(Duration::from_secs(5));
    for resource in ["devices", "deviceprocesses"] {
        let entries = world.asked_since(mark)?;
        let writes = entries
            .iter()
            .filter(|entry| entry.resource == resource && entry.verb == "patch" && entry.code == 200);
        ensure!(writes.count() == 1, "{resource}: {entries:#?}");
    }
    ensure!(events(&world, DEVICE, "DeviceLost")? == [1]);

    // An empty report through another.
    let elsewhere = connect(&world, second, DEVICE)?;
    ensure!(elsewhere.report(&report(&[]))?.status == 200);
    await_connected(&world, PROCESS, &yes())?;
    await_state(&world, DEVICE, "Connected")
}

#[test]
fn each_device_has_its_own_window_and_one_that_said_so_sleeps() -> Result<()> {
    let Some(world) = world("each_device_has_its_own_window_and_one_that_said_so_sleeps")? else {
        return Ok(());
    };
    let gateways = gateways(&world, 2)?;
    create_device(&world, "patient", &json!({"staleAfter": "1h"}))?;
    for device in ["patient", "hasty", "sleepy"] {
        world.bind(&format!("{device}-p"), device)?;
        let mut call = report(&[]);
        if device == "sleepy" {
            call["nextContactSeconds"] = json!(3_600);
        }
        let device = connect(&world, &gateways[0], device)?;
        wait::until_true("the first report", PATIENCE, || {
            Ok(device.report(&call)?.status == 200)
        })?;
    }
    await_state(&world, "hasty", "Lost")?;
    await_state(&world, "sleepy", "Sleeping")?;
    await_connected(&world, "hasty-p", &lost())?;
    for device in ["patient", "sleepy"] {
        ensure!(connected(&world, &format!("{device}-p"))? == yes(), "{device}");
    }
    ensure!(world.device_status("patient")?["state"] == "Connected");
    ensure!(events(&world, "sleepy", "DeviceLost")?.is_empty());
    Ok(())
}

#[test]
fn a_blocked_device_is_refused_by_every_gateway_until_it_is_not() -> Result<()> {
    let Some(world) = world("a_blocked_device_is_refused_by_every_gateway_until_it_is_not")? else {
        return Ok(());
    };
    world.bind(PROCESS, DEVICE)?;
    let gateways = gateways(&world, 2)?;
    let devices: Result<Vec<_>> = gateways
        .iter()
        .map(|gateway| connect(&world, gateway, DEVICE))
        .collect();
    let devices = devices?;
    settle(&devices[0], &[1])?;
    let block = |blocked: bool| {
        let patch = json!({"spec": {"blocked": blocked}});
        world.api.client().merge_patch(Kind::DEVICES, DEVICE, &patch)
    };
    block(true)?;
    let blocked: [Value; 3] = ["False", "AgentBlocked", "device is blocked"].map(Value::from);
    await_connected(&world, PROCESS, &blocked)?;
    await_state(&world, DEVICE, "Blocked")?;
    for device in &devices {
        wait::until_true("403", PATIENCE, || Ok(send(device, &[2])?.status == 403))?;
    }
    ensure!(connected(&world, PROCESS)? == blocked);
    await_events(&world, DEVICE, "DeviceBlocked", &[1])?;

    block(false)?;
    for device in &devices {
        settle(device, &[2])?;
    }
    await_connected(&world, PROCESS, &yes())?;
    await_state(&world, DEVICE, "Connected")
}

#[test]
fn what_happens_again_raises_the_count_of_the_event_that_is_there() -> Result<()> {
    let Some(world) = world("what_happens_again_raises_the_count_of_the_event_that_is_there")? else {
        return Ok(());
    };
    let gateways = gateways(&world, 1)?;
    let device = connect(&world, &gateways[0], DEVICE)?;
    for round in 1..=2 {
        settle(&device, &[round])?;
        await_events(&world, DEVICE, "DeviceConnected", &[round])?;
        await_state(&world, DEVICE, "Lost")?;
        await_events(&world, DEVICE, "DeviceLost", &[round])?;
    }
    let described = world.api.client().items(Kind::CORE_EVENTS.within("default"))?;
    let lost = described.iter().find(|event| event["reason"] == "DeviceLost");
    let lost = lost.expect("just counted");
    ensure!(
        lost["type"] == "Warning" && lost["involvedObject"]["kind"] == "Device",
        "{lost}"
    );
    ensure!(lost["source"]["component"] == "apollo-gateway", "{lost}");
    Ok(())
}
