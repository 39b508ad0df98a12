//! HTTP/3 as a device speaks it: one connection, one exchange.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use bytes::{Buf, Bytes};
use http::{HeaderMap, Request, header};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::Value;

/// Sends requests on a connection; clones share it.
pub(super) type SendRequest = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;

/// Largest answer read: the largest desired document the contract allows, with room.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// The name in the gateway's certificate that requests name as authority.
pub(super) const AUTHORITY: &str = "localhost";

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

/// A connection to a gateway, driven by a task until it ends.
pub(super) async fn connect(
    endpoint: &quinn::Endpoint,
    config: quinn::ClientConfig,
    gateway: SocketAddr,
    within: Duration,
) -> anyhow::Result<(quinn::Connection, SendRequest)> {
    let connecting = endpoint.connect_with(config, gateway, AUTHORITY)?;
    let quic = tokio::time::timeout(within, connecting).await??;
    let (mut driver, requests) = h3::client::builder()
        .send_grease(false)
        .build::<_, _, Bytes>(h3_quinn::Connection::new(quic.clone()))
        .await?;
    tokio::spawn(async move { driver.wait_idle().await });
    Ok((quic, requests))
}

/// Sends a request and reads the whole answer.
pub(super) async fn exchange(
    requests: &mut SendRequest,
    request: Request<()>,
    body: Option<Vec<u8>>,
) -> anyhow::Result<Reply> {
    let mut stream = requests.send_request(request).await?;
    if let Some(body) = body {
        // A gateway may answer before it has read all; what it answers is read below.
        let _: Result<(), _> = stream.send_data(body.into()).await;
    }
    let _: Result<(), _> = stream.finish().await;
    let answer = stream.recv_response().await?;
    let mut body = Vec::new();
    while let Some(mut part) = stream.recv_data().await? {
        ensure!(
            body.len() + part.remaining() <= MAX_ANSWER_BYTES,
            "answer over {MAX_ANSWER_BYTES} bytes"
        );
        body.extend_from_slice(&part.copy_to_bytes(part.remaining()));
    }
    Ok(Reply {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body,
    })
}

/// The authority in a PEM file, for [`client_config`].
pub(super) fn roots(ca: &Path) -> anyhow::Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    Ok(Arc::new(roots))
}

/// TLS 1.3 for HTTP/3, with a certificate chain and its key if there is one. Keeps a connection for as long as a test may
/// leave it idle.
pub(super) fn client_config(
    roots: &Arc<RootCertStore>,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> anyhow::Result<quinn::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(Arc::clone(roots));
    let mut tls = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
    };
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let mut transport = quinn::TransportConfig::default();
    transport.max_idle_timeout(Some(Duration::from_secs(3_600).try_into()?));
    let mut config =
        quinn::ClientConfig::new(Arc::new(quinn::crypto::rustls::QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| {
            format!(
                "status {}: {:?}",
                self.status,
                String::from_utf8_lossy(&self.body)
            )
        })
    }

    /// A header field as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The content type without parameters.
    pub fn content_type(&self) -> &str {
        let value = self.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
        value.split(';').next().unwrap_or_default()
    }
}
