//! The programs that `tests/kube/build` leaves in the cache.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// Names the directory of what tests need and keep; `tests/run` and `tests/kube/build` read it too.
const ENV_CACHE: &str = "APOLLO_CACHE";

/// The directory of the programs.
#[derive(Debug, Clone)]
pub(super) struct Built {
    directory: PathBuf,
}

impl Built {
    /// Finds all of them, or says what is missing and what makes it.
    pub(super) fn find() -> anyhow::Result<Self> {
        let cache = match env::var_os(ENV_CACHE) {
            Some(cache) => PathBuf::from(cache),
            None => user_cache()?.join("apollo-tests"),
        };
        let built = Self {
            directory: cache.join("kube"),
        };
        // Written last: programs beside no stamp are those of a build that is under way.
        for file in ["apollo-test-apiserver", "etcd", "kubectl", "stamp"] {
            if !built.directory.join(file).exists() {
                let missing = built.directory.join(file);
                bail!(
                    "no Kubernetes API server ({} is missing): run tests/kube/build",
                    missing.display()
                );
            }
        }
        Ok(built)
    }

    pub(super) fn server(&self) -> PathBuf {
        self.directory.join("apollo-test-apiserver")
    }

    pub(super) fn etcd(&self) -> PathBuf {
        self.directory.join("etcd")
    }

    pub(super) fn kubectl(&self) -> PathBuf {
        self.directory.join("kubectl")
    }
}

/// The user's cache directory, as the XDG Base Directory Specification says.
fn user_cache() -> anyhow::Result<PathBuf> {
    if let Some(cache) = env::var_os("XDG_CACHE_HOME").filter(|cache| !cache.is_empty()) {
        return Ok(cache.into());
    }
    let user = env::var_os("HOME").context("neither APOLLO_CACHE, XDG_CACHE_HOME nor HOME is set")?;
    Ok(Path::new(&user).join(".cache"))
}
