//! Removing what is older than it has to be kept.

use std::time::Duration;

use anyhow::Result;
use apollo_gateway::store::postgres::PostgresHistory;
use apollo_gateway_core::store::{StoreReply, StoreRequest};
use apollo_tests::harness::{PATIENCE, wait};
use apollo_wire::UnixMillis;

use crate::{
    server::{Server, appended, rows},
    store_values::{append, device, instance},
};

fn received_at(mut request: StoreRequest, ms: i64) -> StoreRequest {
    if let StoreRequest::AppendHistory { received_at, .. } = &mut request {
        *received_at = UnixMillis::saturating(ms);
    }
    request
}

async fn highest(history: &PostgresHistory) -> u64 {
    let request = StoreRequest::ReadHighest {
        device: device("buoy"),
        instance: instance(1),
    };
    match history.execute(request).await {
        StoreReply::Highest(highest) => highest,
        other => panic!("{other:?}"),
    }
}

/// P-07: what is exactly as old as it has to be kept stays, one millisecond more does not; the highest sequence stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p07_what_is_too_old_goes_and_the_highest_sequence_stays() -> Result<()> {
    let Some(server) = Server::start("too old")? else {
        return Ok(());
    };
    let history = server.replica().await?;
    for (sequence, ms) in [(7, 1_999), (3, 2_000), (5, 2_001)] {
        appended(
            history
                .execute(received_at(append("buoy", 1, rows([sequence])), ms))
                .await,
        );
    }
    let left = || {
        server
            .postgres
            .psql("SELECT string_agg(seq::text, ' ' ORDER BY seq) FROM apollo.observations")
    };
    assert_eq!(
        history
            .remove_received_before(UnixMillis::saturating(1_999))
            .await?,
        0
    );
    assert_eq!(left()?, "3 5 7");
    assert_eq!(server.postgres.psql("SELECT count(*) FROM apollo.gaps")?, "1");
    assert_eq!(
        history
            .remove_received_before(UnixMillis::saturating(2_000))
            .await?,
        1
    );
    assert_eq!((left()?.as_str(), highest(&history).await), ("3 5", 7));
    assert_eq!(server.postgres.psql("SELECT count(*) FROM apollo.gaps")?, "0");
    let (new, through) = appended(history.execute(append("buoy", 1, rows([6]))).await);
    assert_eq!((new, through), (vec![true], 7));
    assert_eq!(history.remove_received_before(UnixMillis::MAX).await?, 3);
    assert_eq!((left()?.as_str(), highest(&history).await), ("", 7));
    Ok(())
}

/// P-07: replicas that remove at the same time, beside one that appends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p07_replicas_that_remove_at_once_remove_each_row_once() -> Result<()> {
    const OLD: u64 = 5_000;
    let Some(server) = Server::start("removing at once")? else {
        return Ok(());
    };
    let replicas = [server.replica().await?, server.replica().await?];
    for device in ["buoy", "truck"] {
        appended(replicas[0].execute(append(device, 1, rows(1..=OLD / 2))).await);
    }
    let remove = async |replica: &PostgresHistory| -> Result<u64> {
        let mut removed = 0;
        while server
            .postgres
            .psql("SELECT count(*) FROM apollo.history WHERE received_at_ms < 3000")?
            != "0"
        {
            removed += replica
                .remove_received_before(UnixMillis::saturating(3_000))
                .await?;
        }
        Ok(removed)
    };
    let add = async || {
        for sequence in OLD..OLD + 50 {
            let request = received_at(append("buoy", 1, rows([sequence])), 3_000);
            let (new, highest) = appended(replicas[1].execute(request).await);
            assert_eq!((new, highest), (vec![true], sequence));
        }
    };
    let (first, second, ()) = tokio::join!(remove(&replicas[0]), remove(&replicas[1]), add());
    assert_eq!(first? + second?, OLD);
    assert_eq!(server.postgres.psql("SELECT count(*) FROM apollo.history")?, "50");
    assert_eq!(highest(&replicas[0]).await, OLD + 49);
    Ok(())
}

/// P-07: `retain` does it by itself, and ends where everything is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p07_what_is_older_than_the_retention_goes_by_itself() -> Result<()> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let Some(server) = Server::start("the retention")? else {
        return Ok(());
    };
    let history = server.replica_that_keeps(DAY).await?;
    let day_ms = i64::try_from(DAY.as_millis())?;
    let now = jiff::Timestamp::now().as_millisecond();
    appended(
        history
            .execute(received_at(append("buoy", 1, rows([1])), now - day_ms - 1))
            .await,
    );
    appended(
        history
            .execute(received_at(append("buoy", 1, rows([2])), now - day_ms / 2))
            .await,
    );
    let retaining = tokio::spawn(history.clone().retain());
    let left = tokio::task::block_in_place(|| {
        wait::until_true("the old row to go", PATIENCE, || {
            Ok(server.postgres.psql("SELECT seq FROM apollo.observations")? == "2")
        })
    });
    retaining.abort();
    left?;
    server.replica().await?.retain().await;
    Ok(())
}
