//! A Postgres for one test, and replicas of the gateway's history on it.

use std::time::Duration;

use anyhow::Result;
use apollo_gateway::store::postgres::{HistoryOptions, OpenHistoryError, PostgresHistory};
use apollo_gateway_core::store::{HistoryRow, StoreReply};
use apollo_tests::harness::{Postgres, PostgresOptions, skip};

/// A server with an empty database.
pub(crate) struct Server {
    pub(crate) postgres: Postgres,
}

impl Server {
    /// `None` if this machine has no Postgres: the test is left out.
    pub(crate) fn start(test: &str) -> Result<Option<Self>> {
        Self::start_with(test, PostgresOptions::default())
    }

    /// The same with settings.
    pub(crate) fn start_with(test: &str, options: PostgresOptions) -> Result<Option<Self>> {
        if let Some(why) = Postgres::missing() {
            skip(test, &why)?;
            return Ok(None);
        }
        let postgres = Postgres::start_with(options)?;
        Ok(Some(Self { postgres }))
    }

    /// A replica's history that keeps everything.
    pub(crate) async fn replica(&self) -> Result<PostgresHistory> {
        Ok(open(&self.postgres.url(), None).await?)
    }

    /// A replica's history that keeps rows for a while.
    pub(crate) async fn replica_that_keeps(&self, retention: Duration) -> Result<PostgresHistory> {
        Ok(open(&self.postgres.url(), Some(retention)).await?)
    }
}

/// Opens history.
pub(crate) async fn open(
    url: &str,
    retention: Option<Duration>,
) -> Result<PostgresHistory, OpenHistoryError> {
    let url = url.to_owned();
    PostgresHistory::open(&HistoryOptions { url, retention }).await
}

/// Which rows were new, and the highest sequence.
pub(crate) fn appended(reply: StoreReply) -> (Vec<bool>, u64) {
    match reply {
        StoreReply::HistoryAppended { new, highest } => (new, highest),
        other => panic!("{other:?}"),
    }
}

/// Rows with these sequences.
pub(crate) fn rows(sequences: impl IntoIterator<Item = u64>) -> Vec<HistoryRow> {
    sequences.into_iter().map(crate::store_values::row).collect()
}
