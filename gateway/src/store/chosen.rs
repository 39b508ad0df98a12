//! The store that `--store` names, behind one type: what serves devices and what the admin port shows.

use apollo_gateway_core::store::{StoreReply, StoreRequest};
use apollo_wire::DeviceName;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    Change, ObservationFilter, Store,
    embedded::{EmbeddedReader, EmbeddedStore, ObjectFilter, StoreError},
    kube::KubeStore,
};
use crate::{commands::get::object_json, manifest::Kind};

/// One of the stores. Clones share it.
#[derive(Clone)]
pub enum ChosenStore {
    /// `embedded:PATH`
    Embedded(EmbeddedStore),
    /// `kube`
    Kube(KubeStore),
}

/// Nothing can be shown now.
#[derive(Debug, thiserror::Error)]
pub enum BrowseError {
    /// A step of the embedded store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The embedded store's file cannot be opened.
    #[error("the store cannot be opened")]
    Open,
    /// The API server or the history database does not answer.
    #[error(transparent)]
    Kube(#[from] super::kube::BrowseError),
    /// The runtime ends.
    #[error("the gateway is stopping")]
    Stopping,
}

/// Why reading a list ended.
enum Stopped {
    /// As many as were asked for.
    Limit,
    Store(StoreError),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl ChosenStore {
    /// Why it does not work lately, if it does not: for `/readyz`.
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Embedded(store) if store.is_working() => None,
            Self::Embedded(_) => Some("the store does not work".to_owned()),
            Self::Kube(store) => store.problem(),
        }
    }

    /// What the store does beside its requests, for as long as it is polled: history that is too old is removed.
    pub async fn upkeep(self) {
        match self {
            Self::Embedded(_) => {}
            Self::Kube(store) => store.upkeep().await,
        }
    }

    /// At most `limit` objects of a kind, of one device if it is named, in the shape that Kubernetes gives them.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn objects(
        &self,
        kind: Kind,
        device: Option<DeviceName>,
        limit: usize,
    ) -> Result<Vec<Value>, BrowseError> {
        match self {
            Self::Kube(store) => Ok(store.objects(kind, device.as_ref(), limit).await?),
            Self::Embedded(store) => {
                let filter = ObjectFilter {
                    namespace: None,
                    device,
                };
                collect(store, limit, move |reader, keep| {
                    reader.each_object(kind, &filter, |record| keep(object_json(&record)))
                })
                .await
            }
        }
    }

    /// At most `limit` observations, oldest first.
    ///
    /// # Errors
    /// If history does not answer.
    pub async fn observations(
        &self,
        filter: ObservationFilter,
        limit: usize,
    ) -> Result<Vec<Value>, BrowseError> {
        match self {
            Self::Kube(store) => {
                let observations = store.observations(&filter, limit).await?;
                Ok(observations
                    .iter()
                    .map(|observation| json!(observation))
                    .collect())
            }
            Self::Embedded(store) => {
                collect(store, limit, move |reader, keep| {
                    reader.each_observation(&filter, |observation| keep(Ok(json!(observation))))
                })
                .await
            }
        }
    }
}

impl Store for ChosenStore {
    async fn execute(&self, request: StoreRequest) -> StoreReply {
        match self {
            Self::Embedded(store) => store.execute(request).await,
            Self::Kube(store) => store.execute(request).await,
        }
    }

    fn watch(&self) -> mpsc::Receiver<Change> {
        match self {
            Self::Embedded(store) => store.watch(),
            Self::Kube(store) => store.watch(),
        }
    }
}

/// Takes one item of a list that is read.
type Keep<'a> = dyn FnMut(Result<Value, StoreError>) -> Result<(), Stopped> + 'a;

/// Reads on a thread that may block, up to `limit` items.
async fn collect(
    store: &EmbeddedStore,
    limit: usize,
    read: impl FnOnce(&EmbeddedReader, &mut Keep<'_>) -> Result<(), Stopped> + Send + 'static,
) -> Result<Vec<Value>, BrowseError> {
    let path = store.path().to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let reader = EmbeddedReader::open(&path).map_err(|_| BrowseError::Open)?;
        let mut items = Vec::new();
        let read = read(&reader, &mut |item| {
            items.push(item?);
            if items.len() >= limit {
                Err(Stopped::Limit)
            } else {
                Ok(())
            }
        });
        match read {
            Ok(()) | Err(Stopped::Limit) => Ok(items),
            Err(Stopped::Store(error)) => Err(error.into()),
        }
    });
    reading.await.map_err(|_| BrowseError::Stopping)?
}
