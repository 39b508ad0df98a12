//! The read API: objects and observations as JSON, the same that `apollo-gateway get -o json` prints.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::View;
use crate::{
    commands::get::object_json,
    manifest::Kind,
    store::embedded::{EmbeddedReader, ObjectFilter, ObservationFilter, StoreError},
};

/// Items without `limit`: a screenful.
const LIMIT_DEFAULT: usize = 100;
/// Most items: an answer is built in memory. `apollo-gateway get` has no such limit.
const LIMIT_MAX: usize = 1000;

/// `?device=NAME&limit=N`
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    device: Option<String>,
    limit: Option<usize>,
}

/// Why a list ended early, or there is none.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    /// As many as were asked for.
    #[error("limit reached")]
    Limit,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the store cannot be opened")]
    Open,
}

type Answer = Result<Json<Value>, (StatusCode, String)>;

/// `GET /api/v1/devices`
pub(super) async fn devices(State(view): State<Arc<View>>, Query(wanted): Query<Wanted>) -> Answer {
    objects(view, Kind::Device, wanted).await
}

/// `GET /api/v1/deviceprocesses`
pub(super) async fn device_processes(State(view): State<Arc<View>>, Query(wanted): Query<Wanted>) -> Answer {
    objects(view, Kind::DeviceProcess, wanted).await
}

/// `GET /api/v1/observations`: oldest first.
pub(super) async fn observations(State(view): State<Arc<View>>, Query(wanted): Query<Wanted>) -> Answer {
    let limit = wanted.limit()?;
    let filter = ObservationFilter {
        device: wanted.device()?,
        ..ObservationFilter::default()
    };
    collect(view, limit, move |reader, keep| {
        reader.each_observation(&filter, |observation| keep(Ok(json!(observation))))
    })
    .await
    .map(|items| Json(Value::Array(items)))
}

async fn objects(view: Arc<View>, kind: Kind, wanted: Wanted) -> Answer {
    let limit = wanted.limit()?;
    let filter = ObjectFilter {
        namespace: None,
        device: wanted.device()?,
    };
    let items = collect(view, limit, move |reader, keep| {
        reader.each_object(kind, &filter, |record| keep(object_json(&record)))
    });
    Ok(Json(
        json!({"apiVersion": "v1", "kind": "List", "items": items.await?}),
    ))
}

/// Reads on a thread that may block, up to `limit` items.
async fn collect(
    view: Arc<View>,
    limit: usize,
    read: impl FnOnce(
        &EmbeddedReader,
        &mut dyn FnMut(Result<Value, StoreError>) -> Result<(), Stopped>,
    ) -> Result<(), Stopped>
    + Send
    + 'static,
) -> Result<Vec<Value>, (StatusCode, String)> {
    let path = view.service.store().path().to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let reader = EmbeddedReader::open(&path).map_err(|_| Stopped::Open)?;
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
            Err(other) => Err(other),
        }
    });
    match reading.await {
        Ok(Ok(items)) => Ok(items),
        Ok(Err(stopped)) => Err((StatusCode::SERVICE_UNAVAILABLE, format!("{stopped}\n"))),
        Err(_) => Err((
            StatusCode::SERVICE_UNAVAILABLE,
            "the gateway is stopping\n".to_owned(),
        )),
    }
}

impl Wanted {
    fn limit(&self) -> Result<usize, (StatusCode, String)> {
        match self.limit.unwrap_or(LIMIT_DEFAULT) {
            limit @ 1..=LIMIT_MAX => Ok(limit),
            _ => Err((
                StatusCode::BAD_REQUEST,
                format!("limit: expected 1 to {LIMIT_MAX}\n"),
            )),
        }
    }

    fn device(&self) -> Result<Option<apollo_wire::DeviceName>, (StatusCode, String)> {
        let name = self.device.as_deref().filter(|name| !name.is_empty());
        name.map(str::parse)
            .transpose()
            .map_err(|error: apollo_wire::NameError| (StatusCode::BAD_REQUEST, format!("{error}\n")))
    }
}
