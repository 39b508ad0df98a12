//! That the permissions of `deploy/` are those that are used: all of them, and no others. The API server holds the gateways
//! to them, and its audit log says what they asked for.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use apollo_tests::harness::{
    PATIENCE,
    kube::{AuditEntry, KubeWorld},
    observation, report, wait,
};
use serde_json::json;

use super::{STALE_AFTER, device, set_device_spec, until_state, world};

/// A verb on a resource of a group, as RBAC has it.
type Use = (String, String, String);

fn use_of(entry: &AuditEntry) -> Use {
    let resource = if entry.subresource.is_empty() {
        entry.resource.clone()
    } else {
        format!("{}/{}", entry.resource, entry.subresource)
    };
    (entry.verb.clone(), entry.group.clone(), resource)
}

/// Asked for only to find out whether it is allowed.
fn is_a_try(entry: &AuditEntry) -> bool {
    let tries = [
        "apollo-gateway-permission-check",
        "dryRun=",
        "limit=1&",
        "timeoutSeconds=1&",
    ];
    tries.iter().any(|part| entry.uri.contains(part)) || entry.uri.ends_with("limit=1")
}

/// What gateways have used.
fn used(world: &KubeWorld) -> Result<BTreeSet<Use>> {
    let entries = world.api.audit()?;
    let gateways = entries.iter().filter(|entry| entry.user == KubeWorld::USER);
    Ok(gateways.filter(|entry| !is_a_try(entry)).map(use_of).collect())
}

#[test]
fn every_permission_is_used_and_no_other() -> Result<()> {
    let Some(world) = world("kube_replicas: permissions", &[])? else {
        return Ok(());
    };
    world.bind("collector", "buoy-17")?;
    let gateway = world.gateway("one", &["--stale-after", STALE_AFTER])?;
    let strict = world.gateway("two", &["--stale-after", STALE_AFTER, "--register", "manual"])?;
    // First contact, a status, and an observation about a process that only the API server knows not to exist.
    let known = device(&world, "buoy-17", &gateway)?;
    let seen = [observation(1, "collector", 0), observation(2, "gone", 0)];
    let verdicts = known.report(&report(&seen))?.json()?;
    ensure!(
        verdicts["accepted"] == 1 && verdicts["orphaned"] == 1,
        "{verdicts}"
    );
    // Whether a stranger has an object after all.
    ensure!(device(&world, "stranger", &strict)?.report(&report(&[]))?.status == 403);
    // Lost twice: an Event, and its count.
    for _ in 0..3 {
        until_state(&world, "buoy-17", "Lost")?;
        ensure!(known.report(&report(&[]))?.status == 200);
        until_state(&world, "buoy-17", "Connected")?;
    }
    set_device_spec(&world, "buoy-17", &json!({"blocked": true}))?;
    until_state(&world, "buoy-17", "Blocked")?;
    ensure!(gateway.admin_get("/api/v1/devices?device=buoy-17")?.0 == 200);
    ensure!(gateway.admin_get("/api/v1/deviceprocesses")?.0 == 200);

    let granted: BTreeSet<Use> = KubeWorld::rules()?
        .into_iter()
        .map(|rule| (rule.verb, rule.group, rule.resource))
        .collect();
    wait::until_true("every permission to be used", PATIENCE, || {
        let used = used(&world)?;
        let beyond: Vec<&Use> = used.difference(&granted).collect();
        ensure!(beyond.is_empty(), "used without need to be granted: {beyond:?}");
        Ok(used == granted)
    })
    .map_err(|error| {
        let used = used(&world).unwrap_or_default();
        error.context(format!(
            "never used: {:?}",
            granted.difference(&used).collect::<Vec<_>>()
        ))
    })
}
