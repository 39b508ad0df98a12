//! A scripted gateway: quinn and h3, mutual TLS, and an answer for each request from a function of the test.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use apollo_agent::client::{Client, ClientFactory, ClientLimits, Identity, IdentityFiles};
use apollo_wire::{Report, SequenceRange, UnixMillis, Verdicts, binary};
use bytes::{Buf, Bytes};
use http::{HeaderMap, Method, Response, StatusCode};
use quinn::{Endpoint, crypto::rustls::QuicServerConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::{RootCertStore, pki_types::PrivatePkcs8KeyDer, server::WebPkiClientVerifier};

/// Limits small enough for tests to wait for.
pub(crate) const LIMITS: ClientLimits = ClientLimits {
    resolve_timeout: Duration::from_secs(2),
    connect_timeout: Duration::from_secs(2),
    address_head_start: Duration::from_millis(200),
    addresses: 4,
    silence: Duration::from_millis(700),
    exchange_timeout: Duration::from_secs(10),
    verdicts_bytes: 64 * 1024,
    desired_bytes: 64 * 1024,
};

/// Streams from client to server that are neither requests nor replies: as many as quinn grants by default.
const CONTROL_STREAMS: u32 = 100;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// quinn's number of the connection.
    pub(crate) connection: usize,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub(crate) enum Script {
    Reply(u16, &'static [(&'static str, &'static str)], Bytes),
    /// Never answer.
    Stall,
    /// Send headers and part of a body, then nothing.
    StallInBody,
    /// Close the connection.
    Hang,
}

pub(crate) type Handler = Arc<dyn Fn(&Seen) -> Script + Send + Sync>;

/// Certificates of one test: an authority, a server, a device.
pub(crate) struct Pki {
    pub(crate) dir: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let pki = Self {
            dir: tempfile::tempdir().unwrap(),
            issuer,
        };
        std::fs::write(pki.path("ca.pem"), pki.issuer.pem()).unwrap();
        pki
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes certificate and key of a device, and loads them.
    pub(crate) fn device(&self, name: &str) -> Identity {
        self.identity(
            &format!("spiffe://fleet.example/device/{name}"),
            &self.path("ca.pem"),
        )
    }

    /// An identity with this URI name that trusts `ca`.
    pub(crate) fn identity(&self, uri: &str, ca: &std::path::Path) -> Identity {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = IdentityFiles {
            ca: ca.to_owned(),
            cert: self.path("device.pem"),
            key: self.path("device.key"),
        };
        std::fs::write(&files.cert, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        Identity::load(&files).unwrap()
    }

    /// The server side, trusting devices of `devices` (its own authority, unless a test wants another).
    fn server(&self, devices: &Self, control_streams: u32) -> quinn::ServerConfig {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(devices.issuer.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        tls.max_early_data_size = u32::MAX;
        tls.send_tls13_tickets = 1;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
        let mut transport = quinn::TransportConfig::default();
        transport
            .mtu_discovery_config(None)
            .initial_rtt(Duration::from_millis(700));
        transport.max_concurrent_uni_streams(control_streams.into());
        transport.max_idle_timeout(Some(Duration::from_secs(3600).try_into().unwrap()));
        config.transport_config(Arc::new(transport));
        let mut tokens = quinn::ValidationTokenConfig::default();
        tokens.sent(0);
        config.validation_token_config(tokens);
        config
    }
}

/// A running gateway.
pub(crate) struct FakeGateway {
    _endpoint: Endpoint,
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    /// Connections accepted.
    pub(crate) connections: Arc<AtomicUsize>,
    /// Requests that arrived before their connection's handshake was complete.
    pub(crate) early: Arc<AtomicUsize>,
}

impl FakeGateway {
    pub(crate) fn start(pki: &Pki, handler: Handler) -> Self {
        Self::start_trusting(pki, pki, handler)
    }

    /// Starts one that grants its peers only so many streams of the kind HTTP/3 needs three of.
    pub(crate) fn start_granting(control_streams: u32, pki: &Pki, handler: Handler) -> Self {
        Self::start_with(pki.server(pki, control_streams), handler)
    }

    /// Starts one that trusts the devices of another authority.
    pub(crate) fn start_trusting(pki: &Pki, devices: &Pki, handler: Handler) -> Self {
        Self::start_with(pki.server(devices, CONTROL_STREAMS), handler)
    }

    fn start_with(config: quinn::ServerConfig, handler: Handler) -> Self {
        let endpoint = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let gateway = Self {
            address: endpoint.local_addr().unwrap(),
            _endpoint: endpoint.clone(),
            seen: Arc::default(),
            connections: Arc::default(),
            early: Arc::default(),
        };
        let seen = Arc::clone(&gateway.seen);
        let (connections, early) = (Arc::clone(&gateway.connections), Arc::clone(&gateway.early));
        tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let Ok(Ok((connection, accepted))) = incoming.accept().map(quinn::Connecting::into_0rtt)
                else {
                    continue;
                };
                connections.fetch_add(1, Ordering::SeqCst);
                let complete = Arc::new(AtomicBool::new(false));
                let completing = Arc::clone(&complete);
                tokio::spawn(async move {
                    // On this side the value means nothing, only the moment does.
                    accepted.await;
                    completing.store(true, Ordering::SeqCst);
                });
                let (handler, early) = (Arc::clone(&handler), Arc::clone(&early));
                let handler: Handler = Arc::new(move |seen: &Seen| {
                    if !complete.load(Ordering::SeqCst) {
                        early.fetch_add(1, Ordering::SeqCst);
                    }
                    handler(seen)
                });
                tokio::spawn(serve(connection, handler, Arc::clone(&seen)));
            }
        });
        gateway
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn client(&self, identity: &Identity) -> Client {
        client(&[self.url()], identity)
    }

    pub(crate) fn requests(&self, path: &str) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .filter(|seen| seen.path == path)
            .cloned()
            .collect()
    }
}

pub(crate) fn client(urls: &[String], identity: &Identity) -> Client {
    factory(urls, identity).client()
}

pub(crate) fn factory(urls: &[String], identity: &Identity) -> ClientFactory {
    let urls = urls.iter().map(|url| url.parse().unwrap()).collect();
    ClientFactory::new(urls, identity, LIMITS).unwrap()
}

async fn serve(connection: quinn::Connection, handler: Handler, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut builder = h3::server::builder();
    builder.send_grease(false);
    let Ok(mut http) = builder
        .build::<_, Bytes>(h3_quinn::Connection::new(connection.clone()))
        .await
    else {
        return;
    };
    while let Ok(Some(resolver)) = http.accept().await {
        let (handler, seen, connection) = (Arc::clone(&handler), Arc::clone(&seen), connection.clone());
        tokio::spawn(async move {
            let Ok((request, mut stream)) = resolver.resolve_request().await else {
                return;
            };
            let mut body = Vec::new();
            while let Ok(Some(mut chunk)) = stream.recv_data().await {
                body.extend_from_slice(&chunk.copy_to_bytes(chunk.remaining()));
            }
            let request = Seen {
                connection: connection.stable_id(),
                method: request.method().clone(),
                path: request.uri().path().to_owned(),
                headers: request.headers().clone(),
                body: body.into(),
            };
            let script = handler(&request);
            seen.lock().unwrap().push(request);
            match script {
                Script::Reply(status, headers, body) => {
                    let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
                    for (name, value) in headers {
                        response = response.header(*name, *value);
                    }
                    let _ = stream.send_response(response.body(()).unwrap()).await;
                    if !body.is_empty() {
                        let _ = stream.send_data(body).await;
                    }
                    let _ = stream.finish().await;
                }
                Script::StallInBody => {
                    let _ = stream.send_response(Response::new(())).await;
                    let _ = stream.send_data(Bytes::from_static(&[1])).await;
                    std::future::pending::<()>().await;
                }
                Script::Stall => std::future::pending().await,
                Script::Hang => connection.close(0_u32.into(), b""),
            }
        });
    }
}

/// Verdicts that accept everything a report has.
pub(crate) fn accept_all(report: &Report) -> Verdicts {
    let sequences: Vec<_> = report
        .observations
        .iter()
        .map(|observation| observation.seq)
        .collect();
    Verdicts {
        epoch: 1,
        highest_sequence: sequences
            .iter()
            .copied()
            .max()
            .unwrap_or(0)
            .max(report.offered_through.unwrap_or(0)),
        accepted: u32::try_from(sequences.len()).unwrap(),
        acked: SequenceRange::collect(sequences),
        duplicates: 0,
        orphaned: 0,
        rejected: vec![],
        server_time: UnixMillis::saturating(0),
        clock_skew_ms: 0,
    }
}

/// A gateway that accepts every report and answers polls with 304.
pub(crate) fn agreeable(seen: &Seen) -> Script {
    match seen.path.as_str() {
        "/v1/report" => {
            let report = binary::decode_report(&seen.body).unwrap();
            Script::Reply(200, &[], binary::encode_verdicts(&accept_all(&report)).into())
        }
        _ => Script::Reply(304, &[], Bytes::new()),
    }
}
