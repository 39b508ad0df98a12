//! finding_10: what `deploy/` shows really starts. The images are built from its Dockerfile, and its compose file runs them
//! in a Docker engine of the test's own; the manifests render, fit together and are taken by an API server; the unit is
//! one that systemd understands and finds hardened.

mod applied;
mod compose;
mod engine;
mod images;
mod manifests;
mod rendered;
mod unit;

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A file of the tree by its path from the root.
fn path(name: &str) -> PathBuf {
    PathBuf::from(ROOT).join(name)
}

/// Its text.
fn read(name: &str) -> Result<String> {
    std::fs::read_to_string(path(name)).with_context(|| name.to_owned())
}

/// Whether `program argument` runs here and succeeds.
fn runs(program: &str, argument: &str) -> bool {
    let ended = Command::new(program)
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    ended.is_ok_and(|status| status.success())
}
