//! What Prometheus may ask: counters of one agent, off unless `--metrics-listen` is given.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::net::TcpListener;

use crate::client::IpBytes;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DirectionLabel {
    direction: &'static str,
}

/// The agent's metrics. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    queue_rows: Gauge,
    queue_dropped: Counter,
    syncs: Family<ResultLabel, Counter>,
    ip_bytes: Family<DirectionLabel, Counter>,
}

impl Metrics {
    /// Notes how full the queue is.
    pub fn queue(&self, rows: u64, newly_dropped: u64) {
        self.queue_rows.set(i64::try_from(rows).unwrap_or(i64::MAX));
        self.queue_dropped.inc_by(newly_dropped);
    }

    /// Counts an exchange: `ok`, or the kind of failure.
    pub fn sync(&self, result: &'static str) {
        self.syncs.get_or_create(&ResultLabel { result }).inc();
    }

    /// Counts IP bytes.
    pub fn ip_bytes(&self, bytes: IpBytes) {
        self.ip_bytes
            .get_or_create(&DirectionLabel { direction: "sent" })
            .inc_by(bytes.sent);
        self.ip_bytes
            .get_or_create(&DirectionLabel {
                direction: "received",
            })
            .inc_by(bytes.received);
    }

    /// The registry with the names of the contract; counters get their `_total` from the format.
    fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        registry.register(
            "apollo_agent_queue_rows",
            "Observations waiting",
            self.queue_rows.clone(),
        );
        registry.register(
            "apollo_agent_queue_dropped",
            "Observations dropped for want of room",
            self.queue_dropped.clone(),
        );
        registry.register(
            "apollo_agent_sync",
            "Exchanges with a gateway, by result",
            self.syncs.clone(),
        );
        registry.register(
            "apollo_agent_ip_bytes",
            "IP bytes: UDP payload plus 28 per datagram",
            self.ip_bytes.clone(),
        );
        registry
    }

    /// The text Prometheus reads.
    #[must_use]
    pub fn text(&self) -> String {
        render(&self.registry())
    }

    /// Serves `/metrics` on `listen` until the process ends. Returns the address in use once it listens.
    ///
    /// # Errors
    /// The system's, if the address cannot be had.
    pub async fn serve(&self, listen: SocketAddr) -> io::Result<SocketAddr> {
        let registry = Arc::new(self.registry());
        let metrics =
            get(async move || ([(CONTENT_TYPE, CONTENT_TYPE_TEXT)], render(&registry)).into_response());
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/metrics", metrics);
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "metrics are not served any more");
            }
        });
        Ok(address)
    }
}

/// The content type of what [`render`] writes.
const CONTENT_TYPE_TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn render(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing into a String does not fail.
    let _ = encode(&mut text, registry);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_contract() {
        let metrics = Metrics::default();
        metrics.queue(7, 2);
        metrics.sync("ok");
        metrics.ip_bytes(IpBytes {
            sent: 100,
            received: 50,
        });
        let text = metrics.text();
        for line in [
            "apollo_agent_queue_rows 7",
            "apollo_agent_queue_dropped_total 2",
            "apollo_agent_sync_total{result=\"ok\"} 1",
            "apollo_agent_ip_bytes_total{direction=\"sent\"} 100",
            "apollo_agent_ip_bytes_total{direction=\"received\"} 50",
        ] {
            assert!(
                text.lines().any(|printed| printed == line),
                "{line} is not in\n{text}"
            );
        }
    }
}
