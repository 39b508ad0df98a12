//! The store on a real API server: the contract that every store keeps, and what only an API server can show
//! (docs/kubernetes.md).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../../../gateway/tests/store_contract/mod.rs"]
mod store_contract;
#[path = "../../../../gateway/tests/store_values/mod.rs"]
mod store_values;

mod cluster;
mod requests;
mod schema;
mod shown;
mod watching;

use anyhow::Result;
use cluster::Cluster;

/// Runs tests of the contract with two replicas on one API server and one Postgres.
macro_rules! contract {
    ($($name:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() -> Result<()> {
            if let Some(cluster) = Cluster::start(stringify!($name)).await? {
                store_contract::$name(&cluster).await;
            }
            Ok(())
        }
    )+};
}

contract!(
    a_status_write_needs_the_version_it_was_computed_from,
    two_replicas_at_once_lose_no_update,
    conditions_of_others_are_kept,
    a_device_status_needs_the_version_it_was_computed_from,
    a_device_is_created_once,
    processes_are_read_by_device_and_by_name,
    history_is_a_set,
    history_refuses_another_observation_under_the_same_sequence,
    the_ends_of_the_sequences_fit,
    a_watch_tells_of_changes_by_every_replica,
);
