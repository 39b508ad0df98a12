//! The server crashes while replicas add to history.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use apollo_gateway::store::postgres::PostgresHistory;
use apollo_gateway_core::store::StoreReply;
use apollo_tests::harness::{PATIENCE, PostgresOptions};
use nix::sys::signal::Signal;

use crate::{
    server::{Server, rows},
    store_values::append,
};

/// Devices that report, each through one of two replicas.
const DEVICES: u64 = 4;
/// Rows in an append.
const ROWS: u64 = 20;
/// Crashes.
const CRASHES: u64 = 3;
/// Appends that each device has confirmed between two crashes.
const CONFIRMED_BETWEEN: u64 = 15;

/// What one device got to know.
#[derive(Default)]
struct Told {
    confirmed: AtomicU64,
    unavailable: AtomicU64,
}

/// Reports batch after batch, each until it is confirmed, until there are as many as `until`.
async fn report(history: PostgresHistory, device: String, told: Arc<Told>, until: u64) {
    for batch in 0..until {
        let first = batch * ROWS + 1;
        loop {
            let request = append(&device, 1, rows(first..first + ROWS));
            match history.execute(request).await {
                StoreReply::HistoryAppended { highest, .. } => {
                    assert_eq!(highest, first + ROWS - 1);
                    told.confirmed.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                StoreReply::Unavailable { .. } => {
                    told.unavailable.fetch_add(1, Ordering::SeqCst);
                    // As a device would, after a while.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Waits until a count of every device is as high as that.
async fn until(told: &[Arc<Told>], what: &str, count: impl Fn(&Told) -> u64, least: u64) -> Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while told.iter().any(|told| count(told) < least) {
        ensure!(tokio::time::Instant::now() < deadline, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// P-01: the server is set to answer before a commit is on its disk, and crashes. What was confirmed is there all the
/// same, nobody is confirmed anything meanwhile, and history works again by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p01_p05_a_crash_of_the_server_loses_nothing_that_was_confirmed() -> Result<()> {
    let careless = PostgresOptions {
        settings: vec![
            "synchronous_commit = off".to_owned(),
            "wal_writer_delay = 10s".to_owned(),
        ],
        ..PostgresOptions::default()
    };
    let Some(mut server) = Server::start_with("a crash of the server", careless)? else {
        return Ok(());
    };
    let replicas = [server.replica().await?, server.replica().await?];
    let mut devices = tokio::task::JoinSet::new();
    let mut all = Vec::new();
    for device in 0..DEVICES {
        let told = Arc::new(Told::default());
        all.push(Arc::clone(&told));
        let history = replicas[usize::try_from(device % 2)?].clone();
        let batches = CONFIRMED_BETWEEN * (CRASHES + 1);
        devices.spawn(report(history, format!("buoy-{device}"), told, batches));
    }
    for crash in 1..=CRASHES {
        until(
            &all,
            "confirmations",
            |told| told.confirmed.load(Ordering::SeqCst),
            crash * CONFIRMED_BETWEEN,
        )
        .await?;
        server.postgres.stop(Signal::SIGKILL)?;
        let before: Vec<u64> = all
            .iter()
            .map(|told| told.confirmed.load(Ordering::SeqCst))
            .collect();
        let refused: u64 = all
            .iter()
            .map(|told| told.unavailable.load(Ordering::SeqCst))
            .max()
            .unwrap_or(0);
        if before
            .iter()
            .all(|confirmed| *confirmed < CONFIRMED_BETWEEN * (CRASHES + 1))
        {
            until(
                &all,
                "refusals",
                |told| told.unavailable.load(Ordering::SeqCst),
                refused + 1,
            )
            .await?;
            assert!(replicas.iter().all(|replica| replica.failing().is_some()));
        }
        server.postgres.start_again()?;
        for (device, confirmed) in before.iter().enumerate() {
            let sql = format!("SELECT sequence FROM apollo.history WHERE device = 'buoy-{device}'");
            let stored = server.postgres.psql(&sql)?;
            let stored: BTreeSet<u64> = stored.lines().map(str::parse).collect::<Result<_, _>>()?;
            let lost: Vec<u64> = (1..=confirmed * ROWS)
                .filter(|sequence| !stored.contains(sequence))
                .collect();
            assert!(
                lost.is_empty(),
                "confirmed and lost after crash {crash}: {lost:?}"
            );
        }
    }
    while let Some(done) = devices.join_next().await {
        done?;
    }
    assert!(replicas.iter().all(|replica| replica.failing().is_none()));
    let rows = DEVICES * ROWS * CONFIRMED_BETWEEN * (CRASHES + 1);
    assert_eq!(
        server.postgres.psql("SELECT count(*) FROM apollo.history")?,
        rows.to_string()
    );
    Ok(())
}
