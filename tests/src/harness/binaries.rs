//! Finding the programs under test, building them first if need be.

use std::{
    ffi::OsString,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context, bail};

/// Names a directory with programs already built; nothing is built then. `tests/run` sets it.
pub const ENV_BIN_DIR: &str = "APOLLO_BIN_DIR";

/// A program under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `apollo-gateway`.
    Gateway,
    /// `apollo-agent`.
    Agent,
    /// `apollo-linksim`.
    LinkSim,
}

impl Program {
    /// Its file name, which is also the name of its package for the first two.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "apollo-gateway",
            Self::Agent => "apollo-agent",
            Self::LinkSim => "apollo-linksim",
        }
    }

    /// Where it is, built from the sources as they are now.
    pub fn path(self) -> anyhow::Result<PathBuf> {
        static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let directory = BUILT.get_or_init(|| directory().map_err(|error| format!("{error:#}")));
        let path = directory
            .as_ref()
            .map_err(|error| anyhow::anyhow!(error.clone()))?
            .join(self.name());
        if !path.exists() {
            bail!("{} is missing", path.display());
        }
        Ok(path)
    }
}

/// The directory of the programs: given, or the one this test's own binary was built into, brought up to date.
fn directory() -> anyhow::Result<PathBuf> {
    if let Some(directory) = std::env::var_os(ENV_BIN_DIR) {
        return Ok(directory.into());
    }
    let own = std::env::current_exe()?;
    let mut directory = own.parent().context("the test binary has no directory")?;
    if directory.ends_with("deps") {
        directory = directory.parent().context("deps has no parent")?;
    }
    build_into(directory)?;
    Ok(directory.to_owned())
}

/// `cargo build` in the root of the workspace, as from a shell. Cargo tells a test of its package by variables that build
/// scripts ask for too (ring's does): inherited, they look like a change, and what depends on ring is compiled anew by
/// each build from a test, and again by the next one from a shell.
pub fn cargo_build() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut build = Command::new(cargo);
    build
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .arg("build");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_"]
            .iter()
            .any(|own| text.starts_with(own))
        {
            build.env_remove(&name);
        }
    }
    build
}

/// `cargo build` of both programs with the profile that `directory` is named after. Takes a fraction of a second when
/// nothing has changed, and never tests yesterday's program.
fn build_into(directory: &Path) -> anyhow::Result<()> {
    let target = directory.parent().context("no target directory")?;
    let mut build = cargo_build();
    build.arg("--bins");
    // Somebody who looks on sees progress; a log does not want it.
    if !std::io::stderr().is_terminal() {
        build.arg("--quiet");
    }
    build.args(["-p", Program::Gateway.name(), "-p", Program::Agent.name()]);
    build.arg("--target-dir").arg(target);
    if directory.ends_with("release") {
        build.arg("--release");
    }
    let status = build.status().context("run cargo build")?;
    if !status.success() {
        bail!("cargo build of the programs under test: {status}");
    }
    Ok(())
}
