//! What a request costs does not grow with history: the server's own counters say what it read.

use anyhow::Result;
use apollo_gateway::store::ObservationFilter;
use apollo_gateway_core::store::{StoreReply, StoreRequest};
use apollo_tests::harness::{PATIENCE, wait};
use apollo_wire::UnixMillis;

use crate::{
    server::{Server, appended, rows},
    store_values::{append, device, instance},
};

/// Rows of the device that is asked about, and of another one.
const ROWS: u64 = 5_000;
/// Most rows that all of the requests below may read: some more than they return.
const READ_MAX: u64 = 400;

/// Scans of whole tables, and rows that were read by way of an index, once all sessions of gateways have ended: until
/// then a session may keep its counts to itself.
fn counters(server: &Server) -> Result<(u64, u64)> {
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'apollo-gateway'";
    wait::until_true("sessions to end", PATIENCE, || {
        Ok(server.postgres.psql(sessions)? == "0")
    })?;
    let counted = server.postgres.psql(
        "SELECT sum(seq_scan), sum(idx_tup_fetch) FROM pg_stat_user_tables \
         WHERE schemaname = 'apollo' AND relname IN ('history', 'instances', 'history_gaps')",
    )?;
    let (scans, read) = counted.split_once('|').unwrap_or_default();
    Ok((scans.parse()?, read.parse()?))
}

/// P-09: on tables of which the planner knows nothing yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p09_no_request_reads_more_than_it_needs() -> Result<()> {
    let Some(server) = Server::start("what requests read")? else {
        return Ok(());
    };
    server.postgres.psql("ALTER SYSTEM SET autovacuum = off")?;
    server.postgres.psql("SELECT pg_reload_conf()")?;
    let history = server.replica().await?;
    for device in ["buoy", "truck"] {
        appended(history.execute(append(device, 1, rows(1..=ROWS))).await);
    }
    drop(history);
    let before = tokio::task::block_in_place(|| counters(&server))?;

    let history = server.replica().await?;
    let (whose, which) = (device("buoy"), instance(1));
    let reply = history
        .execute(StoreRequest::ReadHighest {
            device: whose.clone(),
            instance: which,
        })
        .await;
    assert_eq!(reply, StoreReply::Highest(ROWS));
    let sequences: Vec<u64> = (1..=20).collect();
    let request = StoreRequest::ReadSettled {
        device: whose.clone(),
        instance: which,
        sequences: sequences.clone(),
    };
    assert_eq!(history.execute(request).await, StoreReply::Settled(sequences));
    let (new, _) = appended(
        history
            .execute(append("buoy", 1, rows(ROWS - 9..=ROWS + 10)))
            .await,
    );
    assert_eq!(new.iter().filter(|new| **new).count(), 10);
    let all = ObservationFilter::default();
    let of_one = ObservationFilter {
        device: Some(whose),
        ..all.clone()
    };
    let named = ObservationFilter {
        name: Some("p".to_owned()),
        ..all.clone()
    };
    for filter in [all, of_one, named] {
        assert_eq!(history.observations(&filter, 20).await?.len(), 20);
    }
    assert_eq!(history.remove_received_before(UnixMillis::MIN).await?, 0);
    drop(history);
    let after = tokio::task::block_in_place(|| counters(&server))?;
    assert_eq!(after.0 - before.0, 0, "scans of whole tables");
    let read = after.1 - before.1;
    assert!((1..=READ_MAX).contains(&read), "{read} rows read");
    Ok(())
}
