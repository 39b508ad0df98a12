//! Several replicas at once, on the same rows.

use std::collections::HashMap;

use anyhow::Result;
use apollo_gateway_core::store::StoreRequest;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::{
    server::{Server, appended, rows},
    store_values::append,
};

/// Rounds of the race; each has a life of its own.
const ROUNDS: u64 = 30;
/// Rows of a round. Each of four appends has three quarters of them.
const ROWS: u64 = 200;

/// P-02: each row is new for exactly one of those who add it, and nobody waits in a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p02_replicas_that_add_the_same_rows_in_any_order_call_each_new_once() -> Result<()> {
    let Some(server) = Server::start("replicas at once")? else {
        return Ok(());
    };
    let replicas = [server.replica().await?, server.replica().await?];
    for round in 0..ROUNDS {
        let device = format!("buoy-{round}");
        let mut appends = tokio::task::JoinSet::new();
        for part in 0..4 {
            let mut rng = StdRng::seed_from_u64(round * 4 + part);
            let mut sequences: Vec<u64> = (1..=ROWS).filter(|sequence| sequence % 4 != part).collect();
            sequences.shuffle(&mut rng);
            let replica = replicas[usize::try_from(part % 2)?].clone();
            let request = append(&device, 1, rows(sequences.clone()));
            appends.spawn(async move { (sequences, appended(replica.execute(request).await).0) });
        }
        let mut times_new: HashMap<u64, usize> = HashMap::new();
        while let Some(done) = appends.join_next().await {
            let (sequences, new) = done?;
            for (sequence, new) in sequences.into_iter().zip(new) {
                *times_new.entry(sequence).or_default() += usize::from(new);
            }
        }
        assert_eq!(times_new.len(), usize::try_from(ROWS)?);
        assert!(times_new.values().all(|times| *times == 1), "{times_new:?}");
    }
    let deadlocks = server
        .postgres
        .psql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")?;
    assert_eq!(deadlocks, "0");
    Ok(())
}

/// The largest report that there is, twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p02_the_largest_report_is_added_and_is_a_duplicate_afterwards() -> Result<()> {
    let Some(server) = Server::start("the largest report")? else {
        return Ok(());
    };
    let history = server.replica().await?;
    let most = apollo_wire::limits::OBSERVATIONS;
    let mut all = rows(1..=u64::try_from(most)?);
    for row in &mut all {
        row.observation.message = "x".repeat(apollo_wire::limits::MESSAGE_BYTES);
    }
    for expected in [true, false] {
        let request: StoreRequest = append("buoy", 1, all.clone());
        let (new, highest) = appended(history.execute(request).await);
        assert_eq!(highest, u64::try_from(most)?);
        assert!(new.len() == most && new.iter().all(|new| *new == expected));
    }
    assert_eq!(
        server.postgres.psql("SELECT count(*) FROM apollo.history")?,
        most.to_string()
    );
    Ok(())
}
