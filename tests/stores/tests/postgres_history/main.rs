//! History in Postgres on a real server: what every history must do, and what only several replicas, a crash or another
//! program in the database can show (docs/storage-postgres.md).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../../../gateway/tests/store_contract/history.rs"]
mod store_contract_of_history;
#[path = "../../../../gateway/tests/store_values/mod.rs"]
mod store_values;

mod as_the_twin;
mod at_once;
mod crash;
mod opening;
mod retention;
mod seeks;
mod server;
mod shown;
mod slow;
mod tls;

use anyhow::Result;
use apollo_gateway_core::store::{StoreReply, StoreRequest};
use server::Server;

/// Runs tests of the contract with two replicas on one database.
macro_rules! contract {
    ($($name:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() -> Result<()> {
            let Some(server) = Server::start(stringify!($name))? else {
                return Ok(());
            };
            let (one, other) = (server.replica().await?, server.replica().await?);
            let first = async |request: StoreRequest| -> StoreReply { one.execute(request).await };
            let second = async |request: StoreRequest| -> StoreReply { other.execute(request).await };
            store_contract_of_history::$name(first, second).await;
            Ok(())
        }
    )+};
}

contract!(
    history_is_a_set,
    history_refuses_another_observation_under_the_same_sequence,
    the_ends_of_the_sequences_fit,
);
