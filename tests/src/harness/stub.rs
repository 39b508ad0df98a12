//! A gateway that answers polls in a way the real one does not: its 304 names no ETag.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::Context;
use apollo_wire::{DesiredState, DeviceName, UnixMillis, Verdicts, binary};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::runtime::Runtime;

use super::Pki;

type Stream = h3::server::RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// The only ETag it knows.
const ETAG: &str = "\"stub\"";

/// A gateway of the test's own, without client authentication; ends when dropped.
pub struct StubGateway {
    address: SocketAddr,
    polls: Arc<Polls>,
    // Dropping it ends the tasks that serve.
    _runtime: Runtime,
}

/// What it was asked.
#[derive(Debug, Default)]
struct Polls {
    conditional: AtomicU32,
    unconditional: AtomicU32,
}

impl StubGateway {
    /// Serves `device`, which has nothing to run, with the gateway certificate of `pki`.
    pub fn start(pki: &Pki, device: &str) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let config = server_config(pki)?;
        let device: DeviceName = device.parse()?;
        let polls = Arc::new(Polls::default());
        let endpoint = {
            let _entered = runtime.enter();
            quinn::Endpoint::server(config, SocketAddr::from(([127, 0, 0, 1], 0)))?
        };
        let address = endpoint.local_addr()?;
        let counted = Arc::clone(&polls);
        runtime.spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                // A connection that fails is the agent's to notice.
                drop(serve(incoming, &device, &counted).await);
            }
        });
        Ok(Self {
            address,
            polls,
            _runtime: runtime,
        })
    }

    /// Where agents reach it.
    pub fn udp(&self) -> SocketAddr {
        self.address
    }

    /// How many polls had an `If-None-Match`, and how many had none.
    pub fn polls(&self) -> (u32, u32) {
        (
            self.polls.conditional.load(Ordering::SeqCst),
            self.polls.unconditional.load(Ordering::SeqCst),
        )
    }
}

fn server_config(pki: &Pki) -> anyhow::Result<quinn::ServerConfig> {
    let chain = CertificateDer::pem_file_iter(pki.gateway_cert())?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(pki.gateway_key())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let tls = quinn::crypto::rustls::QuicServerConfig::try_from(tls)?;
    Ok(quinn::ServerConfig::with_crypto(Arc::new(tls)))
}

/// One connection, one request at a time.
async fn serve(incoming: quinn::Incoming, device: &DeviceName, polls: &Polls) -> anyhow::Result<()> {
    let connection = h3_quinn::Connection::new(incoming.await?);
    let mut connection = h3::server::Connection::<_, Bytes>::new(connection).await?;
    while let Some(resolver) = connection.accept().await? {
        let (request, stream) = resolver.resolve_request().await?;
        answer(&request, stream, device, polls).await?;
    }
    Ok(())
}

async fn answer(
    request: &Request<()>,
    mut stream: Stream,
    device: &DeviceName,
    polls: &Polls,
) -> anyhow::Result<()> {
    let mut response = Response::builder();
    let mut body = None;
    if request.method() == Method::POST {
        while stream.recv_data().await?.is_some() {}
        body = Some(binary::encode_verdicts(&nothing_to_settle()?));
    } else if request.headers().contains_key(header::IF_NONE_MATCH) {
        polls.conditional.fetch_add(1, Ordering::SeqCst);
        response = response.status(StatusCode::NOT_MODIFIED);
    } else {
        polls.unconditional.fetch_add(1, Ordering::SeqCst);
        response = response.header(header::ETAG, ETAG);
        body = Some(binary::encode_desired(&DesiredState {
            device: device.clone(),
            processes: Vec::new(),
        }));
    }
    stream.send_response(response.body(())?).await?;
    if let Some(body) = body {
        stream.send_data(body.into()).await?;
    }
    stream.finish().await.context("finish the answer")
}

fn nothing_to_settle() -> anyhow::Result<Verdicts> {
    Ok(Verdicts {
        epoch: 1,
        highest_sequence: 0,
        acked: Vec::new(),
        accepted: 0,
        duplicates: 0,
        orphaned: 0,
        rejected: Vec::new(),
        server_time: UnixMillis::new(jiff::Timestamp::now().as_millisecond())?,
        clock_skew_ms: 0,
    })
}
