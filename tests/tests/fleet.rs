//! The harness's fleet: many devices, several gateways, one of which is killed and comes back.

use anyhow::{Result, ensure};
use apollo_tests::harness::{Gateway, GatewayOptions, World, fleet::Fleet, observation};

/// Enough that they share sockets and that handshakes wait for each other.
const DEVICES: usize = 60;

#[test]
fn a_fleet_reports_through_two_gateways_and_finds_one_again_that_was_killed() -> Result<()> {
    let mut world = World::new(&[])?;
    let options = |listen| GatewayOptions {
        name: "second".to_owned(),
        listen,
        ..GatewayOptions::default()
    };
    let second = Gateway::spawn(
        &world.sandbox,
        &world.pki,
        &options(GatewayOptions::default().listen),
    )?;
    let (here, there) = (world.gateway.udp(), second.udp());
    let fleet = Fleet::new(&world.pki, "rail", DEVICES)?;

    // The same frame to both: the one that comes second calls it a duplicate.
    let send = |seq: u64| {
        fleet.each(DEVICES, move |device| async move {
            let report = device.report_of(&[observation(seq, "collector", 0)]);
            let (first, second) = tokio::join!(device.report(here, &report), device.report(there, &report));
            let (first, second) = (first?, second?);
            ensure!(
                first.status == 200 && second.status == 200,
                "{first:?} {second:?}"
            );
            let (first, second) = (first.json()?, second.json()?);
            Ok(first["duplicates"].as_u64().unwrap_or(0) + second["duplicates"].as_u64().unwrap_or(0))
        })
    };
    assert_eq!(send(1)?, vec![1; DEVICES]);

    world.gateway.process.kill()?;
    world.gateway = Gateway::spawn(
        &world.sandbox,
        &world.pki,
        &GatewayOptions {
            name: "first-again".to_owned(),
            listen: here,
            ..GatewayOptions::default()
        },
    )?;
    assert_eq!(send(2)?, vec![1; DEVICES]);

    let devices = world.gateway.get(&["devices"])?;
    let count = devices["items"].as_array().map(Vec::len);
    assert_eq!(count, Some(DEVICES));
    let observations = world.gateway.get(&["observations"])?;
    assert_eq!(observations.as_array().map(Vec::len), Some(2 * DEVICES));
    Ok(())
}
