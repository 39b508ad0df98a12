//! A Docker engine of a test's own, with the images of `deploy/Dockerfile`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use apollo_tests::harness::{Finished, PATIENCE, Program, Running, Sandbox, cargo_build, wait};

use crate::{ROOT, path, runs};

/// Building the static programs from nothing on two cores takes minutes.
const BUILD_WITHIN: Duration = Duration::from_secs(1_200);
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Engines share the machine's bridges and packet filter, so there is one at a time.
static ENGINES: Mutex<()> = Mutex::new(());

/// Why no engine can be had on this machine.
pub(crate) fn missing() -> Option<&'static str> {
    if !nix::unistd::Uid::effective().is_root() {
        return Some("a private Docker engine needs root");
    }
    let programs = ["dockerd", "docker", "docker-compose"];
    let all = programs.iter().all(|program| runs(program, "--version"));
    (!all).then_some("dockerd, docker or docker-compose is missing (tests/run installs them)")
}

/// A Docker engine with its own data, socket and process; nothing of the machine's is touched. Fields in the order they
/// must be dropped.
pub(crate) struct Engine {
    _process: Running,
    socket: String,
    /// Where its files are, and the test's.
    pub(crate) sandbox: Sandbox,
    /// The programs that are in the images.
    pub(crate) programs: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Engine {
    /// Starts one and builds the images `apollo-gateway` and `apollo-agent`.
    pub(crate) fn with_images() -> Result<Self> {
        let alone = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
        let programs = static_programs()?;
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
            programs,
            _alone: alone,
        };
        wait::until_true("dockerd to answer", PATIENCE * 2, || {
            Ok(engine.docker(&["version"])?.code == Some(0))
        })?;
        engine.build()?;
        Ok(engine)
    }

    fn build(&self) -> Result<()> {
        let dockerfile = path("deploy/Dockerfile").display().to_string();
        let context = context(&self.sandbox, &self.programs)?;
        for target in ["gateway", "agent"] {
            let tag = format!("apollo-{target}");
            self.docker(&[
                "build",
                "-f",
                &dockerfile,
                "--target",
                target,
                "-t",
                &tag,
                &context,
            ])?
            .success()?;
        }
        Ok(())
    }

    /// Runs a program that speaks to this engine, with the variables that the compose files read.
    pub(crate) fn run(&self, program: &str, arguments: &[&str], stdin: Option<&[u8]>) -> Result<Finished> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("DOCKER_HOST", &self.socket)
            .env("APOLLO_PKI", self.sandbox.join("pki"));
        // Free ports, so that a gateway on this machine is left alone.
        command
            .env("APOLLO_UDP_PORT", "0")
            .env("APOLLO_ADMIN_PORT", "0")
            .env("APOLLO_KUBECONFIG", self.sandbox.join("kubeconfig"))
            .env("COMPOSE_PROJECT_NAME", "apollo-test");
        Running::finish("docker", command, self.sandbox.path(), stdin, PATIENCE * 4)
    }

    /// `docker ARGUMENTS...`
    pub(crate) fn docker(&self, arguments: &[&str]) -> Result<Finished> {
        self.run("docker", arguments, None)
    }

    /// `docker-compose -f deploy/FILE ARGUMENTS...`
    pub(crate) fn compose(&self, file: &str, arguments: &[&str]) -> Result<Finished> {
        let file = format!("{ROOT}/deploy/{file}");
        let all = [&["-f", file.as_str()], arguments].concat();
        self.run("docker-compose", &all, None)
    }

    /// The steps about certificates at the top of `compose.yaml`. Returns their directory.
    pub(crate) fn certificates(&self) -> Result<PathBuf> {
        let directory = self.sandbox.join("pki");
        let dir = directory.display().to_string();
        let gateway = self.programs.join(Program::Gateway.name()).display().to_string();
        let make = [
            "pki",
            "init",
            "--dir",
            &dir,
            "--san",
            "gateway",
            "--san",
            "localhost",
        ];
        self.run(&gateway, &make, None)?.success()?;
        self.run(&gateway, &["pki", "device", "buoy-17", "--dir", &dir], None)?
            .success()?;
        for key in ["gateway.key", "buoy-17.key"] {
            std::os::unix::fs::chown(directory.join(key), Some(65_532), None)?;
        }
        open_to_all(self.sandbox.path())?;
        Ok(directory)
    }
}

/// Containers' users must get through to the files below: temporary directories are their maker's alone.
fn open_to_all(directory: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory, permissions).with_context(|| directory.display().to_string())
}

/// The static programs, built as the Dockerfile says but without optimization: it is the recipe that is tested.
fn static_programs() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own
        .ancestors()
        .nth(3)
        .context("no target directory")?
        .join("static");
    let mut build = cargo_build();
    build
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        // Built once and never looked into: what only a next build or a debugger would read is gigabytes of disk.
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "none");
    build.args([
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
