//! The compose files.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{
    PATIENCE, Program, Running, Sandbox,
    kube::{KubeApi, documents, rules_of},
    skip, wait,
};
use serde_json::{Value, json};

use crate::{
    engine::{Engine, missing},
    path,
    rendered::Rendered,
    runs,
};

const FILE: &str = "compose.yaml";
const ON_KUBERNETES: &str = "compose.kubernetes.yaml";

#[test]
fn finding_10_the_compose_file_starts_and_a_device_does_its_work() -> Result<()> {
    if let Some(why) = missing() {
        return skip("finding_10: deploy/compose.yaml", why);
    }
    let engine = Engine::with_images()?;
    engine.certificates()?;
    engine.compose(FILE, &["up", "-d"])?.success()?;
    let story = story(&engine)
        .and_then(|()| confined(&engine))
        .and_then(|()| stops(&engine));
    let logs = engine.compose(FILE, &["logs", "--no-color"])?;
    engine.compose(FILE, &["down", "-v"])?.success()?;
    story.with_context(|| logs.stdout)
}

fn story(engine: &Engine) -> Result<()> {
    let store = ["--store", "embedded:/data/gateway.db"];
    let in_gateway = |arguments: &[&str]| {
        let exec = ["exec", "-T", "gateway", "/apollo-gateway"];
        engine.compose(FILE, &[&exec, arguments, &store].concat())
    };
    wait::until_true("the gateway to take objects", PATIENCE, || {
        Ok(in_gateway(&["apply", "-f", "/examples/self-check.yaml"])?.code == Some(0))
    })?;
    wait::until_true("the device's process to have succeeded", PATIENCE * 3, || {
        let object = in_gateway(&["get", "deviceprocesses", "self-check", "-o", "json"])?
            .success()?
            .json()?;
        Ok(object["status"]["state"] == "Succeeded")
    })?;
    let port = engine
        .compose(FILE, &["port", "gateway", "9090"])?
        .success()?
        .stdout;
    ensure!(
        port.starts_with("127.0.0.1:"),
        "the admin port is open to others: {port}"
    );
    Ok(())
}

/// Every container of the project.
fn containers(engine: &Engine) -> Result<Vec<String>> {
    let ids = engine.compose(FILE, &["ps", "-q"])?.success()?.stdout;
    let ids: Vec<_> = ids.split_whitespace().map(str::to_owned).collect();
    ensure!(ids.len() == 2, "a gateway and a device, not {ids:?}");
    Ok(ids)
}

/// Neither has a right of root's, nor a way to one, nor can it change its image's files: as the kernel tells it.
fn confined(engine: &Engine) -> Result<()> {
    for id in containers(engine)? {
        let inspected = engine.docker(&["inspect", &id])?.success()?.json()?;
        ensure!(
            inspected[0]["HostConfig"]["ReadonlyRootfs"] == true,
            "{id}: it can write to its root file system"
        );
        let pid = &inspected[0]["State"]["Pid"];
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        ensure!(
            field("Uid:").as_deref() == Some("65532 65532 65532 65532"),
            "{status}"
        );
        ensure!(
            field("CapBnd:").as_deref() == Some("0000000000000000"),
            "{status}"
        );
        ensure!(field("NoNewPrivs:").as_deref() == Some("1"), "{status}");
    }
    Ok(())
}

/// A stop is waited for, not cut short: exit code 0, where SIGKILL would give 137.
fn stops(engine: &Engine) -> Result<()> {
    let ids = containers(engine)?;
    engine.compose(FILE, &["stop"])?.success()?;
    for id in ids {
        let inspected = engine.docker(&["inspect", &id])?.success()?.json()?;
        let code = &inspected[0]["State"]["ExitCode"];
        ensure!(*code == 0, "{}: exit code {code}", inspected[0]["Name"]);
    }
    Ok(())
}

#[test]
fn the_compose_file_for_kubernetes_is_one_and_its_command_is_understood() -> Result<()> {
    if !runs("docker-compose", "--version") {
        return skip(
            "deploy/compose.kubernetes.yaml",
            "docker-compose is missing (tests/run installs it)",
        );
    }
    let sandbox = Sandbox::new()?;
    let file = path("deploy/compose.kubernetes.yaml");
    let mut command = Command::new("docker-compose");
    command.arg("-f").arg(file).arg("config");
    let shown = Running::finish("config", command, sandbox.path(), None, PATIENCE)?.success()?;
    ensure!(shown.stderr.is_empty(), "{}", shown.stderr);
    let config = documents(&shown.stdout)?.pop().context("nothing")?;
    let gateway = &config["services"]["gateway"];
    ensure!(gateway["read_only"] == true, "{gateway}");
    ensure!(gateway["cap_drop"] == json!(["ALL"]), "{gateway}");

    let words = gateway["command"].as_array().context("no command")?;
    let words: Option<Vec<&str>> = words.iter().map(Value::as_str).collect();
    // With --help behind them the words are read and nothing is done.
    let mut command = Command::new(Program::Gateway.path()?);
    command.args(words.context("not texts")?).arg("--help");
    Running::finish("help", command, sandbox.path(), None, PATIENCE)?
        .success()
        .map(drop)
}

#[test]
fn finding_10_the_compose_file_for_kubernetes_serves_a_device_with_the_rights_of_the_role() -> Result<()> {
    const WHAT: &str = "finding_10: deploy/compose.kubernetes.yaml";
    if let Some(why) = missing() {
        return skip(WHAT, why);
    }
    if let Some(why) = KubeApi::missing() {
        return skip(WHAT, &why);
    }
    let engine = Engine::with_images()?;
    engine.certificates()?;
    let api = KubeApi::start(&engine.sandbox)?;
    api.client().install_crds()?;
    // Who runs the gateway may do what the pods' account may do, and nothing else.
    let role = Rendered::of("base")?
        .object("ClusterRole", "apollo-gateway")
        .clone();
    std::fs::copy(
        api.user("gateway", &rules_of(&role)?)?,
        engine.sandbox.join("kubeconfig"),
    )?;
    let example = path("deploy/examples/self-check.yaml").display().to_string();
    api.kubectl(&["apply", "-f", &example], None)?.success()?;

    engine.compose(ON_KUBERNETES, &["up", "-d"])?.success()?;
    let story = on_kubernetes(&engine, &api);
    let logs = engine.compose(ON_KUBERNETES, &["logs", "--no-color"])?;
    engine.compose(ON_KUBERNETES, &["down"])?.success()?;
    story.with_context(|| logs.stdout)
}

fn on_kubernetes(engine: &Engine, api: &KubeApi) -> Result<()> {
    // A free port was asked for: the gateway says which.
    let port = wait::until("the gateway to listen", PATIENCE, || {
        let logs = engine.compose(ON_KUBERNETES, &["logs", "--no-color"])?.stdout;
        let port = logs.split_once("listening udp=0.0.0.0:");
        Ok(port.and_then(|(_, rest)| Some(rest.split_once(' ')?.0.to_owned())))
    })?;
    let pki = format!("{}:/pki:ro", engine.sandbox.join("pki").display());
    let gateway = format!("--gateway=https://localhost:{port}");
    let container = [
        "run",
        "-d",
        "--network=host",
        "--read-only",
        "-v",
        &pki,
        "-v",
        "device:/data",
        "apollo-agent",
        "run",
    ];
    let files = [
        "--ca=/pki/ca.pem",
        "--cert=/pki/buoy-17.pem",
        "--key=/pki/buoy-17.key",
    ];
    let device = engine
        .docker(&[&container[..], &[&gateway], &files, &["--data-dir=/data"]].concat())?
        .success()?;
    let device = device.stdout.trim();
    let succeeded = wait::until_true("the device's process to have succeeded", PATIENCE * 3, || {
        let status = api
            .kubectl(
                &["get", "dp", "self-check", "-o", "jsonpath={.status.state}"],
                None,
            )?
            .success()?;
        Ok(status.stdout == "Succeeded")
    });
    let logs = engine.docker(&["logs", device])?.stderr;
    engine.docker(&["rm", "-f", device])?.success()?;
    succeeded.context(logs)?;
    let seen = api.kubectl(&["get", "device", "buoy-17"], None)?.success()?;
    ensure!(seen.stdout.contains("buoy-17"), "{seen:?}");
    Ok(())
}
