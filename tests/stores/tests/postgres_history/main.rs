//! History in Postgres on a real server: what every history must do, and what only several replicas, a crash or another
//! program in the database can show (docs/storage-postgres.md).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../../../gateway/tests/store_contract/history.rs"]
mod contract;
#[path = "../../../../gateway/tests/store_values/mod.rs"]
mod store_values;

mod as_the_twin;
mod at_once;
mod crash;
mod opening;
mod retention;
mod server;
mod shown;
mod slow;
mod tls;

use anyhow::Result;
use apollo_gateway_core::store::{StoreReply, StoreRequest};
use server::Server;

/// Runs one test of the contract with two replicas on one database.
macro_rules! on_two_replicas {
    ($($name:ident => |$first:ident, $second:ident| $test:expr;)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() -> Result<()> {
            let Some(server) = Server::start(stringify!($name))? else {
                return Ok(());
            };
            let (one, other) = (server.replica().await?, server.replica().await?);
            let $first = async |request: StoreRequest| -> StoreReply { one.execute(request).await };
            let $second = async |request: StoreRequest| -> StoreReply { other.execute(request).await };
            $test.await;
            Ok(())
        }
    )+};
}

on_two_replicas!(
    history_is_a_set => |first, second| contract::is_a_set(first, second);
    history_refuses_another_observation_under_the_same_sequence =>
        |first, second| contract::refuses_another_observation_under_the_same_sequence(first, second);
    the_ends_of_the_sequences_fit => |first, _second| contract::the_ends_of_the_sequences_fit(first);
);
