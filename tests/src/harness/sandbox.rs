//! A directory of its own for each test.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// A temporary directory, removed when dropped; kept, and its path printed, when `APOLLO_KEEP` is set.
pub struct Sandbox {
    directory: tempfile::TempDir,
}

impl Sandbox {
    /// A new empty directory under the system's temporary directory.
    pub fn new() -> anyhow::Result<Self> {
        let mut directory = tempfile::Builder::new()
            .prefix("apollo-")
            .tempdir()
            .context("temporary directory")?;
        if std::env::var_os("APOLLO_KEEP").is_some() {
            directory.disable_cleanup(true);
            eprintln!("kept: {}", directory.path().display());
        }
        Ok(Self { directory })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The path of `name` in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file in it and returns its path.
    pub fn write(&self, name: &str, content: &str) -> anyhow::Result<PathBuf> {
        let path = self.join(name);
        std::fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}
