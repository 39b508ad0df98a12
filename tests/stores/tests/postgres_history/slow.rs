//! A server that does not get on.

use std::time::{Duration, Instant};

use anyhow::Result;
use apollo_gateway_core::store::{Freshness, StoreReply, StoreRequest};
use apollo_tests::harness::{PATIENCE, wait};

use crate::{
    server::{Server, appended, rows},
    store_values::{append, device},
};

/// Steps that a gateway lets wait (docs/storage-postgres.md).
const STEPS_MAX: usize = 256;
/// What the longest step may take, with room for a busy machine.
const LONGEST: Duration = Duration::from_secs(8);

/// P-05: while somebody holds a lock on the table, each step ends in time and those too many at once; then all is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p05_a_server_that_does_not_get_on_is_unavailable_in_time_and_to_a_bounded_number() -> Result<()> {
    let Some(server) = Server::start("a server that does not get on")? else {
        return Ok(());
    };
    let history = server.replica().await?;
    std::thread::scope(|scope| -> Result<()> {
        let postgres = &server.postgres;
        let locking = scope.spawn(|| postgres.psql("BEGIN; LOCK TABLE apollo.history; SELECT pg_sleep(600)"));
        let locked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        wait::until_true("the lock", PATIENCE, || Ok(postgres.psql(locked)? == "1"))?;
        let waiting = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let began = Instant::now();
                let mut steps = tokio::task::JoinSet::new();
                for number in 0..STEPS_MAX + 3 {
                    let history = history.clone();
                    let request = append(&format!("buoy-{number}"), 1, rows([1]));
                    steps.spawn(async move { (history.execute(request).await, began.elapsed()) });
                }
                let mut refused_at_once = 0;
                while let Some(step) = steps.join_next().await {
                    let (reply, took) = step?;
                    assert_eq!(reply, StoreReply::Unavailable { retry_after: None });
                    assert!(took < LONGEST, "{took:?}");
                    refused_at_once += usize::from(took < Duration::from_secs(1));
                }
                anyhow::Ok(refused_at_once)
            })
        });
        postgres
            .psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")?;
        let _terminated = locking.join();
        assert_eq!(waiting?, 3);
        Ok(())
    })?;
    assert!(history.failing().is_some());
    assert_eq!(
        appended(history.execute(append("buoy", 1, rows([1]))).await),
        (vec![true], 1)
    );
    assert_eq!(history.failing(), None);
    Ok(())
}

/// Objects are somebody else's: such a request is refused, and history works all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_not_about_history_is_unavailable() -> Result<()> {
    let Some(server) = Server::start("not about history")? else {
        return Ok(());
    };
    let history = server.replica().await?;
    let request = StoreRequest::ReadDevice {
        device: device("buoy"),
        freshness: Freshness::Cached,
    };
    let reply = history.execute(request).await;
    assert_eq!(reply, StoreReply::Unavailable { retry_after: None });
    assert_eq!(history.failing(), None);
    Ok(())
}
