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
    manifest::Kind,
    store::{ObservationFilter, chosen::BrowseError},
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
    let items = view.service.store().observations(filter, limit).await;
    items.map(|items| Json(Value::Array(items))).map_err(unavailable)
}

async fn objects(view: Arc<View>, kind: Kind, wanted: Wanted) -> Answer {
    let (limit, device) = (wanted.limit()?, wanted.device()?);
    let items = view.service.store().objects(kind, device, limit).await;
    items
        .map(|items| Json(json!({"apiVersion": "v1", "kind": "List", "items": items})))
        .map_err(unavailable)
}

fn unavailable(error: BrowseError) -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
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
