//! What a running gateway needs is taken away and given back: nothing is settled meanwhile that is not written, it is said
//! once and in `/readyz`, and everything goes on.

use anyhow::{Result, ensure};
use apollo_tests::harness::{
    PATIENCE,
    kube::{Kind, KubeWorld, Rule},
    wait,
};
use nix::sys::signal::Signal;

use crate::scene::{
    DEVICE, PROCESS, await_not_ready, await_ready, connect, is_busy, logged, send, sequence, settle, world,
};

#[test]
fn a_permission_that_is_taken_away_and_given_back() -> Result<()> {
    let Some(world) = world("a_permission_that_is_taken_away_and_given_back")? else {
        return Ok(());
    };
    world.bind(PROCESS, DEVICE)?;
    let gateway = world.gateway("gateway", &[])?;
    let device = connect(&world, &gateway, DEVICE)?;
    settle(&device, &[1])?;

    let mut fewer = KubeWorld::rules()?;
    let taken = Rule::new("patch", "apollo.azure.com", "deviceprocesses/status");
    fewer.retain(|rule| *rule != taken);
    world.api.user(KubeWorld::USER, &fewer)?;
    for _ in 0..3 {
        is_busy(&send(&device, &[2])?)?;
    }
    let line = "missing permission to patch deviceprocesses/status";
    await_not_ready(&gateway, line)?;
    ensure!(logged(&gateway, line)? == 1, "{}", gateway.process.stderr()?);
    ensure!(sequence(&world, PROCESS)? == 1);
    // What was desired before is still known.
    ensure!(device.desired(None)?.status == 200);

    world.kubeconfig()?;
    settle(&device, &[2])?;
    ensure!(sequence(&world, PROCESS)? == 2);
    await_ready(&gateway)
}

#[test]
fn history_that_is_away_settles_nothing() -> Result<()> {
    let Some(mut world) = world("history_that_is_away_settles_nothing")? else {
        return Ok(());
    };
    world.bind(PROCESS, DEVICE)?;
    let gateway = world.gateway("gateway", &[])?;
    let device = connect(&world, &gateway, DEVICE)?;
    settle(&device, &[1])?;

    world.postgres.stop(Signal::SIGKILL)?;
    for _ in 0..3 {
        is_busy(&send(&device, &[2, 3])?)?;
    }
    ensure!(sequence(&world, PROCESS)? == 1, "a status without history");
    await_not_ready(&gateway, "Postgres")?;

    world.postgres.start_again()?;
    settle(&device, &[2, 3])?;
    ensure!(sequence(&world, PROCESS)? == 3);
    let rows = world
        .postgres
        .psql("SELECT seq FROM apollo.observations ORDER BY seq")?;
    ensure!(rows == "1\n2\n3", "{rows}");
    await_ready(&gateway)
}

#[test]
fn definitions_that_are_deleted_settle_nothing_and_come_back() -> Result<()> {
    let Some(world) = world("definitions_that_are_deleted_settle_nothing_and_come_back")? else {
        return Ok(());
    };
    world.bind(PROCESS, DEVICE)?;
    let gateway = world.gateway("gateway", &[])?;
    let device = connect(&world, &gateway, DEVICE)?;
    settle(&device, &[1])?;

    // The objects go with it, as if each had been deleted; then there is nothing that could be written.
    let name = "deviceprocesses.apollo.azure.com";
    world.api.client().delete(Kind::CRDS, name)?;
    await_not_ready(
        &gateway,
        "CustomResourceDefinition deviceprocesses.apollo.azure.com is missing",
    )?;
    ensure!(
        gateway
            .process
            .stderr()?
            .contains("apply what `apollo-gateway crds` prints")
    );
    wait::until_true("polls to be refused", PATIENCE, || {
        Ok(device.desired(None)?.status == 503)
    })?;

    world.api.client().install_crds()?;
    world.bind(PROCESS, DEVICE)?;
    await_ready(&gateway)?;
    device.is_served(PROCESS)?;
    settle(&device, &[2])?;
    ensure!(sequence(&world, PROCESS)? == 2);
    Ok(())
}
