//! a device speaks for the DeviceProcesses bound to it and for no other. R-08: what it may not say does not keep
//! the rest from being heard.

use anyhow::Result;
use apollo_tests::harness::{World, observation, report};
use serde_json::{Value, json};

#[test]
fn finding_01_an_observation_for_another_devices_process_changes_nothing_and_is_refused() -> Result<()> {
    let world = World::new(&[])?;
    world.bind("pump", "buoy-18")?;
    let before = world.gateway.device_process("pump")?;

    let reply = world
        .device("buoy-17")?
        .report(&report(&[observation(1, "pump", 0)]))?;
    assert_eq!(reply.status, 403);
    let verdicts = reply.json()?;
    assert_eq!(verdicts["rejected"][0]["seq"], 1);
    assert_eq!(verdicts["rejected"][0]["reason"], "NotBound");
    assert_eq!(verdicts["acked"], json!([]));

    assert_eq!(
        world.gateway.device_process("pump")?,
        before,
        "the object changed"
    );
    assert_eq!(world.gateway.observations("buoy-17")?, Vec::<Value>::new());
    assert_eq!(world.gateway.observations("buoy-18")?, Vec::<Value>::new());
    assert_eq!(
        world
            .gateway
            .metric("apollo_gateway_rejections_total", "reason=\"NotBound\"")?,
        1.0
    );
    Ok(())
}

#[test]
fn an_observation_that_is_not_bound_does_not_block_the_rest_of_its_report() -> Result<()> {
    let world = World::new(&[])?;
    world.bind("collector", "buoy-17")?;
    world.bind("pump", "buoy-18")?;
    let observations = [
        observation(1, "collector", 2),
        observation(2, "pump", 1),
        observation(3, "collector", 0),
    ];
    let reply = world.device("buoy-17")?.report(&report(&observations))?;
    assert_eq!(reply.status, 200);
    let verdicts = reply.json()?;
    assert_eq!(verdicts["acked"], json!([[1, 1], [3, 3]]));
    assert_eq!(verdicts["rejected"][0]["seq"], 2);
    assert_eq!(world.status("collector")?["sync"]["sequence"], 3);
    assert_eq!(world.status("pump")?["sync"], Value::Null);
    Ok(())
}

#[test]
fn the_agent_moves_what_was_refused_to_its_dead_letters_and_sends_the_rest() -> Result<()> {
    let world = World::new(&[])?;
    world.bind("collector", "buoy-17")?;
    world.bind("pump", "buoy-18")?;
    let agent = world.agent("buoy-17")?;
    let refused = agent.observe("default/pump", &["--state", "Running"])?;
    let kept = agent.observe("default/collector", &["--state", "Running"])?;
    agent.sync_once()?;

    assert_eq!(agent.pending()?, 0);
    let dead = agent.run("queue", &["dead", "--json"], None)?.success()?.json()?;
    assert_eq!(dead.as_array().map(Vec::len), Some(1), "{dead}");
    assert_eq!(dead[0]["seq"], refused);
    assert_eq!(dead[0]["rejection"], "NotBound");
    let stored = world.gateway.observations("buoy-17")?;
    assert_eq!(
        stored.iter().map(|o| o["seq"].clone()).collect::<Vec<_>>(),
        [json!(kept)]
    );
    Ok(())
}

#[test]
fn an_observation_without_a_device_process_is_kept_in_history_alone() -> Result<()> {
    let world = World::new(&[])?;
    let reply = world
        .device("buoy-17")?
        .report(&report(&[observation(1, "gone", 0)]))?;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()?["orphaned"], 1);
    let stored = world.gateway.observations("buoy-17")?;
    assert_eq!((stored.len(), &stored[0]["orphaned"]), (1, &json!(true)));
    Ok(())
}
