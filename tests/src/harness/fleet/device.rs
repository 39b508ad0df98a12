//! One device of a fleet.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use http::{Method, Request};
use serde_json::{Value, json};
use tokio::sync::{Mutex, Semaphore};

use crate::harness::{
    PATIENCE, Reply,
    http3::{self, AUTHORITY, SendRequest},
    now,
};

/// How long a handshake may take, the wait for its turn not counted: a gateway that is gone does not answer at all.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long a report or a poll may take: a thousand devices may ask at once, on a machine with other work.
pub const REQUEST_WITHIN: Duration = PATIENCE;

/// How long a gateway that lives may take to acknowledge a request, which QUIC does within 25 ms, however long the answer
/// takes. One that was killed and started again does not know the connection and cannot say so.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(5);

/// A simulated device. Clones are the same device and share its connections; any number of its requests may be under way.
#[derive(Clone)]
pub struct FleetDevice {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    instance: String,
    endpoint: quinn::Endpoint,
    config: quinn::ClientConfig,
    handshakes: Arc<Semaphore>,
    /// By gateway. The lock of a gateway is held while its handshake lasts, so that there is one.
    connections: Mutex<HashMap<SocketAddr, Arc<Mutex<Option<Connection>>>>>,
}

#[derive(Clone)]
struct Connection {
    quic: quinn::Connection,
    requests: SendRequest,
}

impl FleetDevice {
    pub(super) fn new(
        name: &str,
        number: usize,
        endpoint: quinn::Endpoint,
        config: quinn::ClientConfig,
        handshakes: Arc<Semaphore>,
    ) -> Self {
        let inner = Inner {
            name: name.to_owned(),
            instance: format!("0192f7c4-0000-7000-8000-{number:012x}"),
            endpoint,
            config,
            handshakes,
            connections: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its only instance.
    pub fn instance(&self) -> &str {
        &self.inner.instance
    }

    /// A report of these observations in JSON, sent now. With none it is a heartbeat.
    pub fn report_of(&self, observations: &[Value]) -> Value {
        json!({"instance": self.instance(), "sentAt": now(0), "observations": observations})
    }

    /// `POST /v1/report` with a JSON body. Connects if there is no connection that lives; one that has broken, or on
    /// which nothing arrives any more, is replaced once. An answer of any status is an answer.
    pub async fn report(&self, gateway: SocketAddr, report: &Value) -> anyhow::Result<Reply> {
        let body = Some(report.to_string().into_bytes());
        let fields = [("content-type", "application/json")];
        self.request(gateway, Method::POST, "/v1/report", &fields, body, REQUEST_WITHIN)
            .await
    }

    /// `GET /v1/desired` as JSON: conditional if there is an ETag, held by the gateway for `wait_seconds` if there are
    /// any.
    pub async fn desired(
        &self,
        gateway: SocketAddr,
        etag: Option<&str>,
        wait_seconds: Option<u64>,
    ) -> anyhow::Result<Reply> {
        let mut fields = vec![("accept", "application/json")];
        fields.extend(etag.map(|etag| ("if-none-match", etag)));
        let path = match wait_seconds {
            None => "/v1/desired".to_owned(),
            Some(seconds) => format!("/v1/desired?wait={seconds}"),
        };
        let within = REQUEST_WITHIN + Duration::from_secs(wait_seconds.unwrap_or(0));
        self.request(gateway, Method::GET, &path, &fields, None, within)
            .await
    }

    /// Makes sure that there is a connection.
    pub async fn connect(&self, gateway: SocketAddr) -> anyhow::Result<()> {
        self.connection(gateway).await.map(drop)
    }

    /// Closes the connection to a gateway, if there is one.
    pub async fn disconnect(&self, gateway: SocketAddr) {
        if let Some(connection) = self.slot(gateway).await.lock().await.take() {
            connection.quic.close(quinn::VarInt::from_u32(0x100), b"");
        }
    }

    async fn request(
        &self,
        gateway: SocketAddr,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        body: Option<Vec<u8>>,
        within: Duration,
    ) -> anyhow::Result<Reply> {
        let what = format!("{method} {path} at {gateway}");
        let mut again = true;
        loop {
            let mut connection = self.connection(gateway).await?;
            let uri = format!("https://{AUTHORITY}{path}");
            let mut request = Request::builder().method(method.clone()).uri(uri);
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            let silent = silent(connection.quic.clone());
            let exchange = http3::exchange(&mut connection.requests, request.body(())?, body.clone());
            let error = tokio::select! {
                answer = tokio::time::timeout(within, exchange) => match answer {
                    Ok(Ok(reply)) => return Ok(reply),
                    Ok(Err(error)) => error,
                    Err(_) => anyhow::bail!("{what}: no answer within {within:?}"),
                },
                () = silent => anyhow::anyhow!("no acknowledgement within {ACKNOWLEDGED_WITHIN:?}"),
            };
            self.forget(gateway, &connection).await;
            if !again {
                return Err(error.context(what));
            }
            again = false;
        }
    }

    /// The connection to a gateway, made if there is none that lives.
    async fn connection(&self, gateway: SocketAddr) -> anyhow::Result<Connection> {
        let slot = self.slot(gateway).await;
        let mut slot = slot.lock().await;
        if let Some(connection) = &*slot
            && connection.quic.close_reason().is_none()
        {
            return Ok(connection.clone());
        }
        let _turn = self.inner.handshakes.acquire().await?;
        let inner = &self.inner;
        let (quic, requests) = http3::connect(&inner.endpoint, inner.config.clone(), gateway, CONNECT_WITHIN)
            .await
            .with_context(|| format!("connect to {gateway}"))?;
        let connection = Connection { quic, requests };
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// Takes a connection that has failed out of use, unless it has been replaced already.
    async fn forget(&self, gateway: SocketAddr, failed: &Connection) {
        let slot = self.slot(gateway).await;
        let mut slot = slot.lock().await;
        let is_failed = |connection: &Connection| connection.quic.stable_id() == failed.quic.stable_id();
        if slot.as_ref().is_some_and(is_failed) {
            failed.quic.close(quinn::VarInt::from_u32(0x100), b"");
            *slot = None;
        }
    }

    async fn slot(&self, gateway: SocketAddr) -> Arc<Mutex<Option<Connection>>> {
        let mut connections = self.inner.connections.lock().await;
        Arc::clone(connections.entry(gateway).or_default())
    }
}

/// Ends if nothing at all arrives on a connection for [`ACKNOWLEDGED_WITHIN`] from now on, and never otherwise.
async fn silent(quic: quinn::Connection) {
    let before = quic.stats().udp_rx.datagrams;
    tokio::time::sleep(ACKNOWLEDGED_WITHIN).await;
    if quic.stats().udp_rx.datagrams != before {
        std::future::pending::<()>().await;
    }
}
