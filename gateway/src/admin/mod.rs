//! The admin port: health, metrics, a read API and a dashboard, for people and monitoring. Plain HTTP/1.1 and 2 on TCP;
//! on loopback unless told otherwise, because it has no authentication.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;

use crate::{metrics::Metrics, service::Service, store::chosen::ChosenStore};

mod connections;
mod dashboard;
mod read;

/// The media type `prometheus-client` writes.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The admin port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("--admin-listen {address}: cannot open the TCP port")]
pub struct BindError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// The open port.
pub struct Listener {
    listener: TcpListener,
    /// With the port the system chose for port 0.
    pub address: SocketAddr,
}

/// The admin server.
pub struct Admin {
    listener: Listener,
    router: Router,
}

/// What the handlers look at.
struct View {
    service: Arc<Service<ChosenStore>>,
    metrics: Arc<Metrics>,
}

/// Opens the port.
pub async fn bind(address: SocketAddr) -> Result<Listener, BindError> {
    let opened = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Listener { listener, address })
    };
    opened.await.map_err(|source| BindError { address, source })
}

impl Admin {
    /// A server on an open port.
    pub fn new(listener: Listener, service: Arc<Service<ChosenStore>>, metrics: Arc<Metrics>) -> Self {
        let router = Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics_text))
            .route("/api/v1/devices", get(read::devices))
            .route("/api/v1/deviceprocesses", get(read::device_processes))
            .route("/api/v1/observations", get(read::observations))
            .route("/", get(dashboard::page))
            .route("/dashboard.js", get(dashboard::script))
            .route("/dashboard.css", get(dashboard::style))
            .with_state(Arc::new(View { service, metrics }));
        Self { listener, router }
    }

    /// Serves until dropped, draining included: that is when people look.
    pub async fn run(self) {
        connections::serve(self.listener.listener, self.router).await;
    }
}

/// 200 when devices are served as they should be; else 503 and why.
async fn ready(State(view): State<Arc<View>>) -> (StatusCode, String) {
    let service = &view.service;
    let store = service.store().problem();
    let reason = if service.lifecycle().is_draining() {
        Some("draining".to_owned())
    } else if !service.index.is_ready() {
        let index = "the desired index is not complete yet";
        Some(store.map_or(index.to_owned(), |store| format!("{index}: {store}")))
    } else {
        store
    };
    match reason {
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        None => (StatusCode::OK, "ready\n".to_owned()),
    }
}

async fn metrics_text(State(view): State<Arc<View>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPENMETRICS)], view.metrics.text())
}
