//! `delete`: one object of the embedded store. What was observed of it stays in history.

use std::io::Write;

use anyhow::anyhow;

use super::store_flag::{StoreFlag, block_on, storage};
use crate::{
    exit::Failure,
    manifest::{DEFAULT_NAMESPACE, Kind, ObjectKey},
    store::embedded::Missing,
};

/// Flags of `delete`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  apollo-gateway delete deviceprocess collector
  apollo-gateway delete dp collector -n production
  apollo-gateway delete device buoy-17")]
pub struct DeleteArgs {
    /// devices (device, dev) or deviceprocesses (deviceprocess, dp)
    pub kind: Kind,
    /// The object's name
    pub name: String,
    /// The DeviceProcess's namespace
    #[arg(short, long, default_value = DEFAULT_NAMESPACE)]
    pub namespace: String,
    /// Which store.
    #[command(flatten)]
    pub store: StoreFlag,
}

/// Runs `delete`.
pub fn run(args: &DeleteArgs) -> Result<(), Failure> {
    let namespace = if args.kind.is_namespaced() {
        args.namespace.as_str()
    } else {
        ""
    };
    let key = ObjectKey {
        kind: args.kind,
        namespace: namespace.to_owned(),
        name: args.name.clone(),
    };
    let store = args.store.open(Missing::Refuse)?;
    if !block_on(store.delete(key.clone()))?.map_err(storage)? {
        return Err(Failure::Failed(not_found(&key)));
    }
    writeln!(std::io::stdout(), "{key} deleted").map_err(|error| Failure::Failed(error.into()))
}

/// The line for an object that does not exist.
pub(super) fn not_found(key: &ObjectKey) -> anyhow::Error {
    let place = if key.namespace.is_empty() {
        String::new()
    } else {
        format!(" in namespace {}", key.namespace)
    };
    anyhow!("{} {:?} not found{place}", key.kind.singular(), key.name)
}
