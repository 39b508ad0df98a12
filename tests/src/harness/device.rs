//! A device in the test's own hands: HTTP/3 with a client certificate, one request at a time, with access to the
//! QUIC connection for what no well-behaved client sends.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use http::{Method, Request};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{
    Identity, PATIENCE, Pki, Reply,
    http3::{self, AUTHORITY, SendRequest},
    wait,
};

/// A connected device.
pub struct Device {
    runtime: Runtime,
    // Declared before the endpoint: a handle must go before what drives it.
    requests: SendRequest,
    /// The QUIC connection below HTTP/3.
    pub quic: quinn::Connection,
    endpoint: quinn::Endpoint,
}

impl Device {
    /// Connects; without an identity, as a client that has no certificate.
    pub fn connect(gateway: SocketAddr, pki: &Pki, identity: Option<&Identity>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let identity = match identity {
            None => None,
            Some(identity) => {
                let chain = CertificateDer::pem_file_iter(&identity.cert)?.collect::<Result<Vec<_>, _>>()?;
                Some((chain, PrivateKeyDer::from_pem_file(&identity.key)?))
            }
        };
        let config = http3::client_config(&http3::roots(&pki.ca())?, identity)?;
        let (endpoint, quic, requests) = runtime.block_on(async {
            let endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0)))?;
            let (quic, requests) = http3::connect(&endpoint, config, gateway, PATIENCE).await?;
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
            http3::exchange(&mut requests, request, body).await
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
