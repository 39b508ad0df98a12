//! The gateway's metrics: names and labels as docs/telemetry.md lists them. No device's name is ever a label.

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Seconds. From a poll answered out of memory to a report that waits for a busy disk.
const DURATION_BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// `verdict="accepted|duplicate|orphaned|rejected"`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct VerdictLabel {
    /// What became of the observation.
    pub verdict: &'static str,
}

/// `reason="NotBound|TimestampInFuture|TimestampTooOld|Malformed"`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// Why it was refused.
    pub reason: &'static str,
}

/// `route="report|desired|other",code="200"`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// Which route; "other" for every path that is none.
    pub route: &'static str,
    /// The status code.
    pub code: u16,
}

/// `kind="Device|DeviceProcess",result="ok|conflict|error"`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WriteLabels {
    /// Kind of object.
    pub kind: &'static str,
    /// What the compare-and-swap came to.
    pub result: &'static str,
}

/// `kind="full|resumed|early"`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HandshakeLabel {
    /// How the connection began.
    pub kind: &'static str,
}

/// `route`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabel {
    /// Which route.
    pub route: &'static str,
}

/// `kind="Device|DeviceProcess"`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// Kind of object.
    pub kind: &'static str,
}

/// `verb="get|list|watch|create|patch|other",resource="devices|...",code="200"`
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KubeLabels {
    /// The verb, as RBAC has it.
    pub verb: &'static str,
    /// The resource, as RBAC has it.
    pub resource: &'static str,
    /// The answer's code; 0 if there was none.
    pub code: u16,
}

/// All metrics, and the registry that writes them.
pub struct Metrics {
    registry: Registry,
    /// `apollo_gateway_observations_total`
    pub observations: Family<VerdictLabel, Counter>,
    /// `apollo_gateway_rejections_total`
    pub rejections: Family<ReasonLabel, Counter>,
    /// `apollo_gateway_requests_total`
    pub requests: Family<RequestLabels, Counter>,
    /// `apollo_gateway_status_writes_total`
    pub status_writes: Family<WriteLabels, Counter>,
    /// `apollo_gateway_connections`
    pub connections: Gauge,
    /// `apollo_gateway_handshakes_total`
    pub handshakes: Family<HandshakeLabel, Counter>,
    /// `apollo_gateway_request_duration_seconds`
    pub request_duration: Family<RouteLabel, Histogram>,
    /// 1 while the store's watch tells of every change.
    pub watch_up: Gauge,
    /// Requests to the API server.
    pub kube_requests: Family<KubeLabels, Counter>,
    /// Watches that had to list again.
    pub kube_relists: Family<KindLabel, Counter>,
    /// Status writes waiting in the queue.
    pub kube_writes_waiting: Gauge,
    /// Status writes that needed no request of their own.
    pub kube_writes_coalesced: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("apollo_gateway");
        let observations = Family::default();
        let rejections = Family::default();
        let requests = Family::default();
        let status_writes = Family::default();
        let connections = Gauge::default();
        let handshakes = Family::default();
        let watch_up = Gauge::default();
        let kube_requests = Family::default();
        let kube_relists = Family::default();
        let kube_writes_waiting = Gauge::default();
        let kube_writes_coalesced = Counter::default();
        let request_duration =
            Family::<RouteLabel, Histogram>::new_with_constructor(|| Histogram::new(DURATION_BUCKETS));
        registry.register("observations", "Observations by verdict", observations.clone());
        registry.register("rejections", "Refused observations by reason", rejections.clone());
        registry.register(
            "requests",
            "Requests of devices by route and status code",
            requests.clone(),
        );
        registry.register(
            "status_writes",
            "Status writes by kind of object and result",
            status_writes.clone(),
        );
        registry.register("connections", "Connections open now", connections.clone());
        registry.register("handshakes", "Finished handshakes by kind", handshakes.clone());
        registry.register(
            "request_duration_seconds",
            "Time from headers to answer",
            request_duration.clone(),
        );
        registry.register(
            "watch_up",
            "1 while the store tells of every change",
            watch_up.clone(),
        );
        Self {
            registry,
            observations,
            rejections,
            requests,
            status_writes,
            connections,
            handshakes,
            request_duration,
            watch_up,
            kube_requests,
            kube_relists,
            kube_writes_waiting,
            kube_writes_coalesced,
        }
    }
}

impl Metrics {
    /// With those that only the Kubernetes store has something to say about.
    #[must_use]
    pub fn with_kube(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register(
            "kube_requests",
            "Requests to the API server by verb, resource and status code",
            self.kube_requests.clone(),
        );
        registry.register(
            "kube_relists",
            "Watches that had to list everything again, by kind of object",
            self.kube_relists.clone(),
        );
        registry.register(
            "kube_writes_waiting",
            "Status writes waiting for their turn",
            self.kube_writes_waiting.clone(),
        );
        registry.register(
            "kube_writes_coalesced",
            "Status writes that went along with another of the same object",
            self.kube_writes_coalesced.clone(),
        );
        self
    }

    /// The OpenMetrics text form.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}
