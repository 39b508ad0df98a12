//! finding_10: what `deploy/` shows really starts: the images are built from its Dockerfile, and its compose file runs
//! them in a Docker engine of the test's own.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{Finished, PATIENCE, Program, Running, Sandbox, skip, wait};

/// Building the static programs from nothing on two cores takes minutes.
const BUILD_WITHIN: Duration = Duration::from_secs(1_200);
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A Docker engine with its own data, socket and process; nothing of the machine's is touched.
struct Engine {
    _process: Running,
    socket: String,
    sandbox: Sandbox,
}

impl Engine {
    fn start() -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let path = |name: &str| sandbox.join(name).display().to_string();
        let socket = format!("unix://{}", path("docker.sock"));
        let mut command = Command::new("dockerd");
        command.args([
            "--data-root",
            &path("data"),
            "--exec-root",
            &path("exec"),
            "--pidfile",
            &path("pid"),
        ]);
        command.args(["-H", &socket]);
        let process =
            Running::spawn("dockerd", command, sandbox.path(), Stdio::null())?.ending_its_children();
        let engine = Self {
            _process: process,
            socket,
            sandbox,
        };
        wait::until_true("dockerd to answer", PATIENCE * 2, || {
            Ok(engine.docker(&["version"])?.code == Some(0))
        })?;
        Ok(engine)
    }

    fn run(&self, program: &str, arguments: &[&str], stdin: Option<&[u8]>) -> Result<Finished> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("DOCKER_HOST", &self.socket)
            .env("APOLLO_PKI", self.sandbox.join("pki"));
        // Free ports, so that a gateway on this machine is left alone.
        command
            .env("APOLLO_UDP_PORT", "0")
            .env("APOLLO_ADMIN_PORT", "0")
            .env("COMPOSE_PROJECT_NAME", "apollo-test");
        Running::finish("docker", command, self.sandbox.path(), stdin, PATIENCE * 4)
    }

    fn docker(&self, arguments: &[&str]) -> Result<Finished> {
        self.run("docker", arguments, None)
    }

    fn compose(&self, arguments: &[&str]) -> Result<Finished> {
        let file = format!("{ROOT}/deploy/compose.yaml");
        let all = [&["-f", file.as_str()], arguments].concat();
        self.run("docker-compose", &all, None)
    }
}

fn missing() -> Option<&'static str> {
    let runs = |program: &str| {
        let ended = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        ended.is_ok_and(|status| status.success())
    };
    if !nix::unistd::Uid::effective().is_root() {
        return Some("a private Docker engine needs root");
    }
    (!runs("dockerd") || !runs("docker") || !runs("docker-compose"))
        .then_some("dockerd, docker or docker-compose is missing (tests/run installs them)")
}

/// The static programs, built as the Dockerfile says but without optimization: it is the recipe that is tested.
fn static_programs() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own
        .ancestors()
        .nth(3)
        .context("no target directory")?
        .join("static");
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build
        .current_dir(ROOT)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        // Built once and never looked into: what only a next build or a debugger would read is gigabytes of disk.
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "none");
    build.args([
        "build",
        "--quiet",
        "--target",
        TARGET,
        "-p",
        "apollo-gateway",
        "-p",
        "apollo-agent",
    ]);
    build.arg("--target-dir").arg(&target);
    let logs = Sandbox::new()?;
    Running::finish("static-build", build, logs.path(), None, BUILD_WITHIN)?.success()?;
    Ok(target.join(TARGET).join("debug"))
}

/// A build context with the programs alone: the whole target directory is gigabytes.
fn context(sandbox: &Sandbox, programs: &Path) -> Result<String> {
    let directory = sandbox.join("context");
    std::fs::create_dir(&directory)?;
    for program in [Program::Gateway, Program::Agent] {
        let from = programs.join(program.name());
        std::fs::copy(&from, directory.join(program.name())).with_context(|| from.display().to_string())?;
    }
    Ok(directory.display().to_string())
}

#[test]
fn finding_10_the_compose_file_starts_and_a_device_does_its_work() -> Result<()> {
    if let Some(why) = missing() {
        return skip("finding_10: deploy/compose.yaml", why);
    }
    let programs = static_programs()?;
    let engine = Engine::start()?;
    let dockerfile = format!("{ROOT}/deploy/Dockerfile");
    let context = context(&engine.sandbox, &programs)?;
    for target in ["gateway", "agent"] {
        let image = format!("apollo-{target}");
        engine
            .docker(&[
                "build",
                "-f",
                &dockerfile,
                "--target",
                target,
                "-t",
                &image,
                &context,
            ])?
            .success()?;
    }
    // The steps at the top of compose.yaml.
    let pki = engine.sandbox.join("pki").display().to_string();
    let gateway = programs.join(Program::Gateway.name()).display().to_string();
    let make = [
        "pki",
        "init",
        "--dir",
        &pki,
        "--san",
        "gateway",
        "--san",
        "localhost",
    ];
    engine.run(&gateway, &make, None)?.success()?;
    engine
        .run(&gateway, &["pki", "device", "buoy-17", "--dir", &pki], None)?
        .success()?;
    engine.compose(&["up", "-d"])?.success()?;
    let story = story(&engine);
    let logs = engine.compose(&["logs", "--no-color"])?;
    engine.compose(&["down", "-v"])?.success()?;
    story.with_context(|| logs.stdout)
}

fn story(engine: &Engine) -> Result<()> {
    let store = ["--store", "embedded:/data/gateway.db"];
    let in_gateway = |arguments: &[&str]| {
        engine.compose(&[&["exec", "-T", "gateway", "/apollo-gateway"], arguments, &store].concat())
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
    let port = engine.compose(&["port", "gateway", "9090"])?.success()?.stdout;
    ensure!(
        port.starts_with("127.0.0.1:"),
        "the admin port is open to others: {port}"
    );
    Ok(())
}
