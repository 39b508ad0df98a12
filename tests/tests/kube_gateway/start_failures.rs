//! A gateway that cannot work ends within 5 s, with the exit code that says whose fault it is and one line that says what
//! is missing and what to apply.

use std::{
    net::TcpListener,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{
    GatewayOptions, PATIENCE, Running,
    kube::{Kind, KubeApi, KubeWorld, Rule},
    wait,
};

use crate::scene::{self, logged};

/// The contract's bound.
const WITHIN: Duration = Duration::from_secs(5);
/// Exit codes of the contract.
const CONFIGURATION: i32 = 2;
const UNREACHABLE: i32 = 3;
const STORE: i32 = 4;
/// Where the permissions are.
const RBAC: &str = "apply deploy/kubernetes/base/rbac.yaml";

/// Starts a gateway that must give up in good order, and looks for the texts in its one line.
fn refused(world: &KubeWorld, options: &GatewayOptions, code: i32, texts: &[&str]) -> Result<()> {
    let command = options.command(&world.sandbox, &world.pki)?;
    let started = Instant::now();
    let ended = Running::finish("refused", command, world.sandbox.path(), None, PATIENCE)?;
    let took = started.elapsed();
    let ended = ended.exited(code)?;
    ensure!(took < WITHIN, "took {took:?}: {ended:#?}");
    ensure!(ended.stdout.is_empty(), "said it was serving: {ended:?}");
    ensure!(
        ended.stderr.lines().count() == 1,
        "expected one line on stderr: {ended:#?}"
    );
    for text in texts {
        ensure!(ended.stderr.contains(text), "no {text:?} in {}", ended.stderr);
    }
    Ok(())
}

fn with_kubeconfig(world: &KubeWorld, kubeconfig: PathBuf) -> Result<GatewayOptions> {
    let mut options = world.options("refused", &[])?;
    options.kube.as_mut().context("no kube store")?.kubeconfig = kubeconfig;
    Ok(options)
}

/// The working kubeconfig with one text replaced.
fn altered(world: &KubeWorld, name: &str, from: &str, to: &str) -> Result<GatewayOptions> {
    let text = std::fs::read_to_string(world.kubeconfig()?)?;
    ensure!(text.contains(from), "no {from:?} in {text}");
    with_kubeconfig(world, world.sandbox.write(name, &text.replace(from, to))?)
}

#[test]
fn a_configuration_that_leads_nowhere_says_so() -> Result<()> {
    let Some(world) = scene::world("a_configuration_that_leads_nowhere_says_so")? else {
        return Ok(());
    };
    let missing = world.sandbox.join("missing");
    let shown = missing.display().to_string();
    refused(
        &world,
        &with_kubeconfig(&world, missing)?,
        CONFIGURATION,
        &["--kubeconfig", &shown],
    )?;
    let not_yaml = world.sandbox.write("not-yaml", "a: [")?;
    refused(
        &world,
        &with_kubeconfig(&world, not_yaml)?,
        CONFIGURATION,
        &["--kubeconfig", "not-yaml"],
    )?;
    let context = world.options("refused", &["--context", "nowhere"])?;
    refused(&world, &context, CONFIGURATION, &["nowhere"])?;

    // Nobody listens, and somebody who listens says nothing.
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let silent = (silent.local_addr()?.to_string(), silent);
    for address in [&closed, &silent.0] {
        let server = format!("https://{address}");
        let options = altered(&world, "elsewhere", world.api.url(), &server)?;
        refused(&world, &options, UNREACHABLE, &[address, "cannot be reached"])?;
    }

    let token = std::fs::read_to_string(world.kubeconfig()?)?;
    let token: serde_json::Value = serde_json::from_str(&token)?;
    let token = token["users"][0]["user"]["token"].as_str().context("no token")?;
    let options = altered(&world, "wrong-token", token, "wrong")?;
    refused(&world, &options, STORE, &["credentials"])
}

#[test]
fn a_missing_definition_is_named_with_what_to_apply() -> Result<()> {
    let Some(world) = scene::world("a_missing_definition_is_named_with_what_to_apply")? else {
        return Ok(());
    };
    let empty = KubeApi::start_with(&world.sandbox, "empty", &[])?;
    let kubeconfig = empty.user(KubeWorld::USER, &KubeWorld::rules()?)?;
    let options = with_kubeconfig(&world, kubeconfig)?;
    let apply = "apply what `apollo-gateway crds` prints";
    let both = [
        "devices.apollo.azure.com",
        "deviceprocesses.apollo.azure.com",
        apply,
    ];
    refused(&world, &options, STORE, &both)?;

    world
        .api
        .client()
        .delete(Kind::CRDS, "devices.apollo.azure.com")?;
    let options = world.options("refused", &[])?;
    let mut last = None;
    wait::until_true("the definition to be gone", PATIENCE, || {
        last = refused(&world, &options, STORE, &[" devices.apollo.azure.com", apply]).err();
        Ok(last.is_none())
    })
    .with_context(|| format!("{last:?}"))
}

#[test]
fn each_missing_permission_is_named_with_what_to_apply() -> Result<()> {
    let Some(world) = scene::world("each_missing_permission_is_named_with_what_to_apply")? else {
        return Ok(());
    };
    let rules = KubeWorld::rules()?;
    // Without permission to write Events everything else works: see the next test.
    let needed: Vec<&Rule> = rules.iter().filter(|rule| rule.resource != "events").collect();
    ensure!(needed.len() == 9, "{needed:?}");
    for missing in needed {
        let others: Vec<Rule> = rules.iter().filter(|rule| *rule != missing).cloned().collect();
        let options = with_kubeconfig(&world, world.api.user("lacking", &others)?)?;
        let Rule { verb, resource, .. } = missing;
        let what = format!("missing permission to {verb} {resource} ");
        refused(&world, &options, STORE, &[&what, RBAC]).with_context(|| what.clone())?;
    }
    Ok(())
}

#[test]
fn a_gateway_that_may_write_no_events_says_so_once_and_works() -> Result<()> {
    let Some(world) = scene::world("a_gateway_that_may_write_no_events_says_so_once_and_works")? else {
        return Ok(());
    };
    let mut rules = KubeWorld::rules()?;
    rules.retain(|rule| rule.resource != "events");
    let options = with_kubeconfig(&world, world.api.user("lacking", &rules)?)?;
    let gateway = apollo_tests::harness::Gateway::spawn(&world.sandbox, &world.pki, &options)?;
    for device in ["buoy-1", "buoy-2", "buoy-3"] {
        let device = scene::connect(&world, &gateway, device)?;
        scene::settle(&device, &[1])?;
    }
    let line = "missing permission to create and patch events";
    wait::until_true("the line", PATIENCE, || Ok(logged(&gateway, line)? > 0))?;
    scene::live(Duration::from_secs(1));
    ensure!(logged(&gateway, line)? == 1 && logged(&gateway, RBAC)? == 1);
    scene::await_ready(&gateway)
}
