//! The gateway's TLS: identity and devices' authority from PEM files, reloaded when they change.

use std::sync::Arc;

use quinn::crypto::rustls::QuicServerConfig;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, UnixTime},
    server::{
        ServerSessionMemoryCache, StoresServerSessions, WebPkiClientVerifier, danger::ClientCertVerifier,
    },
};

pub mod files;
pub mod reload;

use files::{Material, TlsFileError};

/// Sessions kept for resumption, about 500 bytes each: three times the connections the gateway takes, so a fleet that
/// rotates through it keeps its 0-RTT. The library's default of 256 would forget all but the latest devices.
const SESSIONS: usize = 65_536;
/// One ticket a connection: the agent opens one connection at a time, and a second ticket costs 90 bytes.
const TICKETS: usize = 1;
/// The only application protocol spoken (RFC 9114, section 3.1).
const ALPN_H3: &[u8] = b"h3";

/// One generation of TLS settings. Connections keep the settings they began with; requests are checked against the
/// authority of the current ones.
pub struct Loaded {
    /// For new connections.
    pub quic: Arc<QuicServerConfig>,
    /// Changes when the devices' authority does.
    pub authority_generation: u64,
    verifier: Arc<dyn ClientCertVerifier>,
    sessions: Arc<dyn StoresServerSessions>,
    material: Material,
}

/// Why settings cannot be made from files that could be read.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or not what it should be.
    #[error(transparent)]
    File(#[from] TlsFileError),
    /// The authority's certificates cannot be used.
    #[error("--client-ca {path}: cannot be used to verify devices")]
    Authority {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Certificate and key do not belong together, or are of a kind that cannot be used.
    #[error("--tls-cert {certificate} and --tls-key {key} cannot be used together")]
    Pair {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The TLS library refuses the settings.
    #[error("cannot set up TLS")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Makes settings from files. With `previous`, sessions survive unless the devices' authority changed: a resumed session
/// is not verified again, so it must not outlive the authority that verified it.
pub fn load(material: Material, previous: Option<&Loaded>) -> Result<Loaded, TlsError> {
    let kept = previous.filter(|previous| previous.material.client_ca == material.client_ca);
    let provider = Arc::new(provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(material.roots()?), provider.clone())
        // Devices have one certificate; naming the authorities they may choose from costs bytes for nothing.
        .clear_root_hint_subjects()
        .build()
        .map_err(|source| TlsError::Authority {
            path: material.paths.client_ca.display().to_string(),
            source: source.into(),
        })?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|source| TlsError::Setup(source.into()))?
        .with_client_cert_verifier(verifier.clone())
        .with_single_cert(material.chain()?, material.key()?)
        .map_err(|source| TlsError::Pair {
            certificate: material.paths.certificate.display().to_string(),
            key: material.paths.key.display().to_string(),
            source,
        })?;
    let sessions = match kept {
        Some(previous) => previous.sessions.clone(),
        None => ServerSessionMemoryCache::new(SESSIONS) as Arc<dyn StoresServerSessions>,
    };
    server.session_storage = sessions.clone();
    server.alpn_protocols = vec![ALPN_H3.to_vec()];
    // QUIC knows only 0 and this (RFC 9001, section 4.6.1). Both routes are replay-safe (docs/api.md).
    server.max_early_data_size = u32::MAX;
    server.send_tls13_tickets = TICKETS;
    let generation = previous.map_or(0, |previous| {
        previous.authority_generation + u64::from(kept.is_none())
    });
    Ok(Loaded {
        quic: Arc::new(QuicServerConfig::try_from(server).map_err(|source| TlsError::Setup(source.into()))?),
        authority_generation: generation,
        verifier,
        sessions,
        material,
    })
}

impl Loaded {
    /// Whether the devices' authority stands for this chain (leaf first) now, validity included.
    pub fn trusts(&self, chain: &[CertificateDer<'_>], now: apollo_wire::UnixMillis) -> bool {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return false;
        };
        let seconds = u64::try_from(now.get() / 1000).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        self.verifier.verify_client_cert(leaf, intermediates, now).is_ok()
    }

    /// The files these settings were made from.
    pub fn material(&self) -> &Material {
        &self.material
    }
}

/// ring, with X25519 alone: post-quantum key exchange costs 2.5 KB a handshake on links where bytes cost money.
fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![rustls::crypto::ring::kx_group::X25519],
        ..rustls::crypto::ring::default_provider()
    }
}
