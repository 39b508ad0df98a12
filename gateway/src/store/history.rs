//! History beside objects that are kept elsewhere: in Postgres, or nowhere.

use std::collections::HashSet;

use apollo_gateway_core::store::{StoreReply, StoreRequest};

use super::{
    observation::{ObservationFilter, ObservationRecord},
    postgres::{HistoryError, PostgresHistory},
};

/// Where history is kept.
///
/// Without history nothing remembers what came before, which costs accuracy, never an observation's effect on a status:
///
/// - each row counts as new, so a repeated report is counted as accepted once more, not as duplicates;
/// - gap records are counted and forgotten;
/// - a refused observation that was settled before is refused (R-04 holds as long as the agent gets its verdict);
/// - a copied queue is found by `offeredThrough` and the Device's list of instances alone: what a copy says under
///   a sequence that the original used is not compared;
/// - an instance that is not in the Device's list is always a new one: it cannot be known that it was forgotten.
#[derive(Clone)]
pub enum History {
    /// Nowhere.
    None,
    /// In Postgres.
    Postgres(PostgresHistory),
}

impl History {
    /// Carries out `AppendHistory`, `ReadSettled` or `ReadHighest`; everything else is [`StoreReply::Unavailable`].
    pub async fn execute(&self, request: StoreRequest) -> StoreReply {
        match self {
            Self::None => forget(request),
            Self::Postgres(history) => history.execute(request).await,
        }
    }

    /// The first `limit` observations that pass the filter, sorted by device, epoch and sequence; none without history.
    pub async fn observations(
        &self,
        filter: &ObservationFilter,
        limit: usize,
    ) -> Result<Vec<ObservationRecord>, HistoryError> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::Postgres(history) => history.observations(filter, limit).await,
        }
    }

    /// Why the last request failed, if it did: for `/readyz`.
    pub fn failing(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Postgres(history) => history.failing(),
        }
    }
}

/// The answer of a history that keeps nothing.
fn forget(request: StoreRequest) -> StoreReply {
    match request {
        StoreRequest::AppendHistory { rows, .. } => {
            let mut met = HashSet::with_capacity(rows.len());
            let new = rows.iter().map(|row| met.insert(row.observation.seq)).collect();
            let highest = met.into_iter().max().unwrap_or(0);
            StoreReply::HistoryAppended { new, highest }
        }
        StoreRequest::ReadSettled { .. } => StoreReply::Settled(Vec::new()),
        StoreRequest::ReadHighest { .. } => StoreReply::Highest(0),
        StoreRequest::ReadDevice { .. }
        | StoreRequest::CreateDevice { .. }
        | StoreRequest::ReplaceDeviceStatus { .. }
        | StoreRequest::ReadProcesses { .. }
        | StoreRequest::ReplaceProcessStatuses { .. } => StoreReply::Unavailable { retry_after: None },
    }
}

#[cfg(test)]
mod tests {
    use apollo_gateway_core::store::{HistoryRow, OnConflict};
    use apollo_wire::{InstanceId, Observation, ProcessRef, UnixMillis};

    use super::*;

    #[tokio::test]
    async fn without_history_each_row_is_new_however_often_it_comes() {
        let row = |seq| HistoryRow {
            observation: Observation::new(
                seq,
                ProcessRef::new("default", "p").expect("a name"),
                UnixMillis::default(),
            ),
            corrected_at: None,
            orphaned: false,
        };
        let (device, instance) = ("buoy".parse().expect("a name"), InstanceId::from_bytes([1; 16]));
        let append = StoreRequest::AppendHistory {
            device,
            instance,
            epoch: 1,
            received_at: UnixMillis::default(),
            rows: [4, 2, 4].map(row).into(),
            gaps: Vec::new(),
            on_conflict: OnConflict::RefuseOther,
        };
        for _ in 0..2 {
            let reply = History::None.execute(append.clone()).await;
            let (new, highest) = (vec![true, true, false], 4);
            assert_eq!(reply, StoreReply::HistoryAppended { new, highest });
        }
        assert!(History::None.failing().is_none());
    }
}
