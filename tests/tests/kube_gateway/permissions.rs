//! The permissions in `deploy/` are the least that work: what is used is what is given.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{
    Device, Gateway, PATIENCE,
    kube::{AuditEntry, Kind, KubeWorld},
    observation, report, wait,
};
use serde_json::json;

use crate::scene::{DEVICE, PROCESS, await_events, await_state, connect, create_device, settle, world};

/// What the check at a gateway's start does shows only that it may.
fn is_of_the_check(entry: &AuditEntry) -> bool {
    entry.name == "apollo-gateway-permission-check"
        || entry.uri.contains("dryRun=All")
        || (entry.verb == "list" && entry.uri.contains("limit=1&") || entry.uri.ends_with("limit=1"))
        || (entry.verb == "watch"
            && (entry.uri.contains("timeoutSeconds=1&") || entry.uri.ends_with("timeoutSeconds=1")))
}

type Use = (String, String, String);

fn used(entry: &AuditEntry) -> Use {
    let mut resource = entry.resource.clone();
    if !entry.subresource.is_empty() {
        resource = format!("{resource}/{}", entry.subresource);
    }
    (entry.verb.clone(), entry.group.clone(), resource)
}

#[test]
fn a_gateway_uses_every_permission_it_is_given_and_asks_for_no_other() -> Result<()> {
    let Some(world) = world("a_gateway_uses_every_permission_it_is_given_and_asks_for_no_other")? else {
        return Ok(());
    };
    world.bind(PROCESS, DEVICE)?;
    world.bind("of-another", "buoy-18")?;
    create_device(&world, "blocked", &json!({}))?;
    let gateway = world.gateway("gateway", &["--stale-after", "3s"])?;

    let device = connect(&world, &gateway, DEVICE)?;
    settle(&device, &[1])?;
    device.is_served(PROCESS)?;
    for path in ["devices", "deviceprocesses", "observations"] {
        let (status, body) = gateway.admin_get(&format!("/api/v1/{path}"))?;
        ensure!(status == 200, "{path}: {status} {body}");
    }
    let block = json!({"spec": {"blocked": true}});
    world.api.client().merge_patch(Kind::DEVICES, "blocked", &block)?;
    await_state(&world, "blocked", "Blocked")?;
    await_state(&world, DEVICE, "Lost")?;
    settle(&device, &[2])?;
    await_state(&world, DEVICE, "Lost")?;
    await_events(&world, DEVICE, "DeviceLost", &[2])?;
    conflict(&world, &gateway, &device)?;

    let given: BTreeSet<Use> = KubeWorld::rules()?
        .into_iter()
        .map(|rule| (rule.verb, rule.group, rule.resource))
        .collect();
    wait::until_true("the last request in the log", PATIENCE, || {
        let uses: BTreeSet<Use> = uses(&world)?;
        Ok(given.is_subset(&uses))
    })
    .with_context(|| format!("used {:#?}", uses(&world)))?;
    let uses = uses(&world)?;
    ensure!(
        uses == given,
        "beyond what is given: {:#?}",
        uses.difference(&given)
    );
    let refused = world.asked_since(apollo_tests::harness::kube::AuditMark::START)?;
    let refused: Vec<_> = refused.iter().filter(|entry| entry.code == 403).collect();
    ensure!(refused.is_empty(), "{refused:#?}");
    Ok(())
}

/// What a gateway has done, its check at the start left out.
fn uses(world: &KubeWorld) -> Result<BTreeSet<Use>> {
    let entries = world.asked_since(apollo_tests::harness::kube::AuditMark::START)?;
    Ok(entries
        .iter()
        .filter(|entry| !is_of_the_check(entry))
        .map(used)
        .collect())
}

/// Other writers of both objects, until the gateway has met a conflict on each: then it reads them again, and with them
/// a process that is named but bound to another device.
fn conflict(world: &KubeWorld, gateway: &Gateway, device: &Device) -> Result<()> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for (kind, name) in [(KubeWorld::PROCESSES, PROCESS), (Kind::DEVICES, DEVICE)] {
            let stop = &stop;
            scope.spawn(move || {
                let mut round = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    round += 1;
                    // An annotation: of no meaning to the gateway, but a new version.
                    let patch = json!({"metadata": {"annotations": {"tests/round": round.to_string()}}});
                    let _busy = world.api.client().merge_patch(kind, name, &patch);
                }
            });
        }
        let met = conflicts(gateway, device);
        stop.store(true, Ordering::Relaxed);
        met
    })
}

fn conflicts(gateway: &Gateway, device: &Device) -> Result<()> {
    let met = |kind: &str| {
        let labels = format!("kind=\"{kind}\",result=\"conflict\"");
        gateway.metric("apollo_gateway_status_writes_total", &labels)
    };
    let mut seq = 10;
    let within: Duration = PATIENCE * 2;
    wait::until_true("conflicts on both kinds of objects", within, || {
        seq += 1;
        let mut call = report(&[
            observation(seq, PROCESS, 0),
            observation(seq + 10_000, "of-another", 0),
        ]);
        // Rows dropped are written into the Device at once.
        call["queue"] = json!({"pending": 0, "dropped": seq});
        let status = device.report(&call)?.status;
        ensure!(matches!(status, 200 | 503), "{status}");
        Ok(met("DeviceProcess")? > 0.0 && met("Device")? > 0.0)
    })
}
