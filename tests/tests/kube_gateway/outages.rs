//! An API server that is away for longer than a restart takes.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use apollo_tests::harness::{PATIENCE, condition, kube::Part, report, wait};
use nix::sys::signal::Signal;

use crate::scene::{
    DEVICE, PROCESS, await_not_ready, await_ready, await_state, connect, events, is_busy, send, sequence,
    settle, world,
};

/// Much shorter than the outage.
const STALE_AFTER: &str = "6s";

/// After 10 s without the API server nobody can know what is desired: the gateway stops saying so. Before that it goes
/// on with what it knows.
#[test]
fn an_api_server_that_is_away_for_long_stops_everything_and_loses_nothing() -> Result<()> {
    let Some(world) = world("an_api_server_that_is_away_for_long_stops_everything_and_loses_nothing")? else {
        return Ok(());
    };
    world.bind(PROCESS, DEVICE)?;
    let gateway = world.gateway("gateway", &["--stale-after", STALE_AFTER])?;
    let device = connect(&world, &gateway, DEVICE)?;
    settle(&device, &[1])?;
    device.is_served(PROCESS)?;
    let before = condition(&world.status(PROCESS)?, "AgentConnected");
    await_state(&world, DEVICE, "Connected")?;

    world.api.stop(Part::ApiServer, Signal::SIGKILL)?;
    let away = Instant::now();
    ensure!(
        device.desired(None)?.status == 200,
        "a restart would have been over in a moment"
    );
    is_busy(&send(&device, &[2])?)?;
    await_not_ready(&gateway, "the desired index is not complete")?;
    let noticed = away.elapsed();
    ensure!(noticed >= Duration::from_secs(9), "gave up after {noticed:?}");
    is_busy(&device.desired(None)?)?;
    is_busy(&send(&device, &[2])?)?;
    ensure!(gateway.admin_get("/healthz")?.0 == 200, "alive all the same");

    world.api.start_part(Part::ApiServer)?;
    world.api.await_ready()?;
    let back = Instant::now();
    // The device calls as it always does; an outage is no reason to be lost.
    wait::until_true("everything to be served again", PATIENCE, || {
        device.report(&report(&[]))?;
        Ok(device.desired(None)?.status == 200)
    })?;
    settle(&device, &[2])?;
    let resumed = back.elapsed();
    await_ready(&gateway)?;
    ensure!(sequence(&world, PROCESS)? == 2);
    let rows = world
        .postgres
        .psql("SELECT seq FROM apollo.observations ORDER BY seq")?;
    ensure!(rows == "1\n2", "{rows}");
    await_state(&world, DEVICE, "Connected")?;
    let after = condition(&world.status(PROCESS)?, "AgentConnected");
    ensure!(after == before, "{after} in place of {before}");
    ensure!(events(&world, DEVICE, "DeviceLost")?.is_empty());
    eprintln!(
        "not ready {noticed:.1?} after the end of the API server, settling {resumed:.1?} after it was back"
    );
    Ok(())
}
