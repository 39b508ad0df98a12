//! Configuration of `serve`: raw layers (flag > environment > file > default) become one validated [`Config`], or a list
//! of everything that is wrong with them.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

mod file;
mod history;
mod layers;
mod parse;
mod print;
mod resolve;

pub use history::HistoryUrl;
pub use layers::{Layers, Origin};
pub use print::print;
pub use resolve::{ConfigError, Problem, resolve};

/// Everything `serve` needs to know, validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// UDP addresses devices call; at least one.
    pub listen: Vec<SocketAddr>,
    /// TCP address for people and monitoring.
    pub admin_listen: SocketAddr,
    /// Where objects and history live.
    pub store: StoreChoice,
    /// PEM files of the TLS identity and the devices' authority.
    pub tls: TlsFiles,
    /// A connected device that is silent this long is no longer Connected; a Device's own `spec.staleAfter` wins.
    pub stale_after: Duration,
    /// Largest body of a request, as sent and decoded from a content coding.
    pub max_body: BodyLimit,
    /// How far an observation may lie after the report that carries it was sent.
    pub max_future_skew: Duration,
    /// Oldest observation accepted.
    pub max_age: Duration,
    /// How long a drain may take before what is left is cut off.
    pub shutdown_grace: Duration,
    /// Whether unknown devices are welcome.
    pub register: Register,
}

/// The store behind the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreChoice {
    /// One SQLite file.
    Embedded(PathBuf),
    /// Objects in Kubernetes, history beside it.
    Kube(KubeChoice),
}

/// Which cluster, how to get into it, and where history goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KubeChoice {
    /// `--kubeconfig`; `$KUBECONFIG`, `~/.kube/config` or the pod's own account if absent.
    pub kubeconfig: Option<PathBuf>,
    /// `--context` of the kubeconfig; its current one if absent.
    pub context: Option<String>,
    /// `--namespace`: only DeviceProcesses of this namespace; all if absent.
    pub namespace: Option<String>,
    /// `--history`; `None` keeps none.
    pub history: Option<HistoryUrl>,
    /// `--history-retention`; `None` keeps it for ever.
    pub history_retention: Option<Duration>,
}

/// PEM files, read at start and again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsFiles {
    /// The gateway's chain, leaf first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities that certify devices.
    pub client_ca: PathBuf,
}

/// Bytes, between the bounds of [`BodyLimit::MIN_BYTES`] and [`BodyLimit::MAX_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimit(NonZeroUsize);

impl BodyLimit {
    /// The largest legal row fits: with less, a device that has one would get 413 for it for ever, and everything behind
    /// it in its queue would wait.
    pub const MIN_BYTES: u64 = apollo_wire::limits::BODY_LIMIT_LEAST_BYTES as u64;
    /// Frames may not unpack to more than this either, so a larger limit would admit nothing more.
    pub const MAX_BYTES: u64 = apollo_wire::limits::FRAME_DECODED_BYTES as u64;

    /// From bytes, if within bounds.
    pub fn new(bytes: u64) -> Option<Self> {
        if !(Self::MIN_BYTES..=Self::MAX_BYTES).contains(&bytes) {
            return None;
        }
        usize::try_from(bytes).ok().and_then(NonZeroUsize::new).map(Self)
    }

    /// In bytes.
    pub fn bytes(self) -> usize {
        self.0.get()
    }
}

/// `--register`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// A Device object is made at a device's first report.
    Auto,
    /// A device without a Device object gets 403.
    Manual,
}
