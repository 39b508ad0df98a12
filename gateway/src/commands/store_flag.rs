//! `--store` of the commands that work on an embedded store.

use std::path::PathBuf;

use crate::{
    exit::Failure,
    store::embedded::{EmbeddedStore, Missing, StoreError},
};

/// Which store.
#[derive(Debug, Clone, clap::Args)]
pub struct StoreFlag {
    /// The store: embedded:PATH
    #[arg(
        long = "store",
        value_name = "embedded:PATH",
        env = "APOLLO_GATEWAY_STORE",
        default_value = "embedded:./apollo-gateway.db",
        value_parser = path
    )]
    pub path: PathBuf,
}

/// The file of `embedded:PATH`.
fn path(text: &str) -> Result<PathBuf, String> {
    match text.strip_prefix("embedded:") {
        Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
        _ if text == "kube" => Err("expected embedded:PATH; with Kubernetes use kubectl".to_owned()),
        _ => Err("expected embedded:PATH".to_owned()),
    }
}

impl StoreFlag {
    /// Opens the store; exit code 4 if it cannot be used.
    pub(super) fn open(&self, missing: Missing) -> Result<EmbeddedStore, Failure> {
        EmbeddedStore::open(&self.path, missing).map_err(|error| Failure::Storage(error.into()))
    }
}

/// A step that failed: exit code 4.
pub(super) fn storage(error: StoreError) -> Failure {
    Failure::Storage(error.into())
}

/// Runs a command's one step to its end; commands need no runtime of many threads.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Failure::Failed(error.into()))?;
    Ok(runtime.block_on(future))
}
