//! A device: QUIC with its certificate, HTTP/3 on top.

use std::{net::SocketAddr, sync::Arc};

use apollo_gateway::pki::Issued;
use bytes::{Buf, Bytes};
use http::{HeaderMap, Request, StatusCode};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::fixture::{Fixture, PATIENCE};

pub(crate) type Http3 = h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>;

/// TLS settings of a device; the same value for several connections lets them resume.
pub(crate) fn tls(authority: &Issued, identity: Option<&Issued>) -> quinn::ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.certificate_pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap(),
            )
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h3".to_vec()];
    config.enable_early_data = true;
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

pub(crate) struct Client {
    pub(crate) connection: quinn::Connection,
    pub http3: Http3,
    _endpoint: quinn::Endpoint,
}

pub(crate) fn endpoint() -> quinn::Endpoint {
    quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap()
}

impl Client {
    pub(crate) async fn connect(fixture: &Fixture, device: &str) -> Self {
        let config = tls(&fixture.authority, Some(&fixture.device(device)));
        Self::connect_with(config, fixture.udp).await.unwrap()
    }

    pub(crate) async fn connect_with(
        config: quinn::ClientConfig,
        address: SocketAddr,
    ) -> Result<Self, quinn::ConnectionError> {
        let endpoint = endpoint();
        let connecting = endpoint.connect_with(config, address, "localhost").unwrap();
        let connection = connecting.await?;
        Ok(Self::over(connection, endpoint).await)
    }

    pub(crate) async fn over(connection: quinn::Connection, endpoint: quinn::Endpoint) -> Self {
        let (mut driver, http3) = h3::client::builder()
            .send_grease(false)
            .build(h3_quinn::Connection::new(connection.clone()))
            .await
            .unwrap();
        tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
        Self {
            connection,
            http3,
            _endpoint: endpoint,
        }
    }

    pub(crate) async fn post(&mut self, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        self.try_send("POST", "/v1/report", headers, Some(body.into()))
            .await
            .unwrap()
    }

    pub(crate) async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.try_send("GET", path, headers, None).await.unwrap()
    }

    pub(crate) async fn try_send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Bytes>,
    ) -> Result<Answer, h3::error::StreamError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("https://localhost{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let exchange = async {
            let mut stream = self.http3.send_request(request.body(()).unwrap()).await?;
            if let Some(body) = body {
                // Refused early, the gateway stops our sending; its answer is there all the same.
                let _ = stream.send_data(body).await;
            }
            let _ = stream.finish().await;
            read_answer(&mut stream).await
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .expect("an answer in time")
    }
}

pub(crate) async fn read_answer(
    stream: &mut h3::client::RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>,
) -> Result<Answer, h3::error::StreamError> {
    let (head, ()) = stream.recv_response().await?.into_parts();
    let mut body = Vec::new();
    while let Some(mut piece) = stream.recv_data().await? {
        body.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
    }
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.into(),
    })
}
