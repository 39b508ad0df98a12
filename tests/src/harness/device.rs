//! A device in the test's own hands: HTTP/3 with a client certificate, one request at a time, with access to the
//! QUIC connection for what no well-behaved client sends.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use bytes::{Buf, Bytes};
use http::{HeaderMap, Method, Request, header};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{Identity, PATIENCE, Pki, wait};

type SendRequest = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;

/// Largest answer read: the largest desired document the contract allows, with room.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// The name in the gateway's certificate that requests name as authority.
const AUTHORITY: &str = "localhost";

/// A connected device.
pub struct Device {
    runtime: Runtime,
    // Declared before the endpoint: a handle must go before what drives it.
    requests: SendRequest,
    /// The QUIC connection below HTTP/3.
    pub quic: quinn::Connection,
    endpoint: quinn::Endpoint,
}

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

impl Device {
    /// Connects; without an identity, as a client that has no certificate.
    pub fn connect(gateway: SocketAddr, pki: &Pki, identity: Option<&Identity>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let tls = client_config(&pki.ca(), identity)?;
        let (endpoint, quic, requests) = runtime.block_on(async {
            let mut endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0)))?;
            endpoint.set_default_client_config(quic_config(tls)?);
            let quic = tokio::time::timeout(PATIENCE, endpoint.connect(gateway, AUTHORITY)?).await??;
            let (mut driver, requests) = h3::client::builder()
                .send_grease(false)
                .build::<_, _, Bytes>(h3_quinn::Connection::new(quic.clone()))
                .await?;
            tokio::spawn(async move { driver.wait_idle().await });
            anyhow::Ok((endpoint, quic, requests))
        })?;
        Ok(Self {
            runtime,
            requests,
            quic,
            endpoint,
        })
    }

    /// `POST /v1/report` with a JSON body.
    pub fn report(&self, report: &Value) -> anyhow::Result<Reply> {
        let fields = [("content-type", "application/json")];
        self.request(
            Method::POST,
            "/v1/report",
            &fields,
            Some(report.to_string().into_bytes()),
        )
    }

    /// `GET /v1/desired` as JSON, conditional if there is an ETag.
    pub fn desired(&self, etag: Option<&str>) -> anyhow::Result<Reply> {
        let mut fields = vec![("accept", "application/json")];
        fields.extend(etag.map(|etag| ("if-none-match", etag)));
        self.request(Method::GET, "/v1/desired", &fields, None)
    }

    /// Waits until `default/process` is among what it is served: the gateway learns a moment later what another process
    /// wrote.
    pub fn is_served(&self, process: &str) -> anyhow::Result<()> {
        wait::until_true("the gateway to take up what was applied", PATIENCE, || {
            let body = self.desired(None)?.json()?;
            let processes = body["processes"].as_array().context("no list of processes")?;
            Ok(processes.iter().any(|served| served["name"] == process))
        })
    }

    /// Any request; the body's length is not announced unless `fields` says it.
    pub fn request(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> anyhow::Result<Reply> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("https://{AUTHORITY}{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (request, mut requests) = (request.body(())?, self.requests.clone());
        self.block_on(PATIENCE, async move {
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
        })
    }

    /// Runs something on the device's runtime with a deadline.
    pub fn block_on<T>(
        &self,
        within: Duration,
        future: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.runtime.block_on(async {
            tokio::time::timeout(within, future)
                .await
                .context("no answer in time")?
        })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Says goodbye, so that the gateway does not keep the connection for hours.
        self.quic.close(quinn::VarInt::from_u32(0x100), b"");
        let endpoint = self.endpoint.clone();
        drop(self.block_on(Duration::from_secs(1), async move {
            endpoint.wait_idle().await;
            Ok(())
        }));
    }
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

/// Keeps a connection for as long as a test may leave it idle.
fn quic_config(tls: rustls::ClientConfig) -> anyhow::Result<quinn::ClientConfig> {
    let mut transport = quinn::TransportConfig::default();
    transport.max_idle_timeout(Some(Duration::from_secs(3_600).try_into()?));
    let mut config =
        quinn::ClientConfig::new(Arc::new(quinn::crypto::rustls::QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// TLS 1.3 for HTTP/3, with the certificate of `identity` if there is one.
fn client_config(ca: &Path, identity: Option<&Identity>) -> anyhow::Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = CertificateDer::pem_file_iter(&identity.cert)?.collect::<Result<Vec<_>, _>>()?;
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&identity.key)?)?
        }
    };
    config.alpn_protocols = vec![b"h3".to_vec()];
    Ok(config)
}
