//! Hears every answer of the API server on its way to the client: requests are counted, and watches are known to be
//! alive.
//!
//! A watch that resumes tells nothing until something changes, and one whose peer has vanished tells nothing either. The
//! difference is below the client's streams: an answer's head, a bookmark, the end that the server makes after
//! [`WATCH_SECONDS`]. So a layer of the client notes when each watch was last heard.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tower::{Layer, Service};

use super::{failure::Doing, health::Health};
use crate::{
    manifest::Kind,
    metrics::{KubeLabels, Metrics},
};

/// How long the server holds one watch request. It then ends, and the next one proves that the server is there: a
/// request every half minute for each kind is nothing, and no half-open connection is trusted for longer.
pub(super) const WATCH_SECONDS: u32 = 30;
/// Silence after which a watch counts as broken: a request's length, the client's margin of 5 s, and time to begin anew.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// How long the requests of a watch may fail before it counts as broken: an API server's restart takes a few seconds, and
/// what a device is told meanwhile is what was true before it.
const FAILING_MAX: Duration = Duration::from_secs(10);

/// What was heard of the watches of both kinds.
#[derive(Default)]
pub(super) struct Heard {
    devices: Watch,
    processes: Watch,
}

/// What was heard of one kind's.
#[derive(Default)]
struct Watch {
    state: Mutex<WatchState>,
}

#[derive(Default, Clone, Copy)]
struct WatchState {
    last: Option<Instant>,
    failing_since: Option<Instant>,
}

impl Heard {
    fn of(&self, kind: Kind) -> &Watch {
        match kind {
            Kind::Device => &self.devices,
            Kind::DeviceProcess => &self.processes,
        }
    }

    /// Why the watch of this kind can no longer be trusted, if it cannot.
    pub(super) fn broken(&self, kind: Kind, now: Instant) -> Option<Duration> {
        self.of(kind).broken(now)
    }

    /// Forgets what was heard: a watch begins anew.
    pub(super) fn reset(&self) {
        for watch in [&self.devices, &self.processes] {
            watch.note(|state| *state = WatchState::default());
        }
    }
}

impl Watch {
    fn note(&self, change: impl FnOnce(&mut WatchState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn heard(&self, now: Instant) {
        self.note(|state| {
            *state = WatchState {
                last: Some(now),
                failing_since: None,
            };
        });
    }

    fn failed(&self, now: Instant) {
        self.note(|state| {
            state.failing_since.get_or_insert(now);
        });
    }

    /// One that was never heard is not broken: it is beginning.
    fn broken(&self, now: Instant) -> Option<Duration> {
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = now.saturating_duration_since(state.last?);
        let failing = state
            .failing_since
            .map(|since| now.saturating_duration_since(since));
        let is_broken = silent > SILENCE_MAX || failing.is_some_and(|failing| failing > FAILING_MAX);
        is_broken.then_some(silent)
    }
}

/// The layer.
#[derive(Clone)]
pub(super) struct HearingLayer {
    /// What was heard of watches.
    pub(super) heard: Arc<Heard>,
    /// What fails, and works again.
    pub(super) health: Arc<Health>,
    /// What is counted.
    pub(super) metrics: Arc<Metrics>,
}

impl<S> Layer<S> for HearingLayer {
    type Service = Hearing<S>;

    fn layer(&self, inner: S) -> Hearing<S> {
        Hearing {
            inner,
            layer: self.clone(),
        }
    }
}

/// The client's service with the layer around it.
#[derive(Clone)]
pub(super) struct Hearing<S> {
    inner: S,
    layer: HearingLayer,
}

impl<S, B> Service<Request<kube::client::Body>> for Hearing<S>
where
    S: Service<Request<kube::client::Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<HeardBody<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let asked = Asked::of(&request);
        let layer = self.layer.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
            layer
                .metrics
                .kube_requests
                .get_or_create(&KubeLabels {
                    verb: asked.verb,
                    resource: asked.resource,
                    code,
                })
                .inc();
            let mut watched = asked.watched();
            if let Some(kind) = watched {
                let watch = layer.heard.of(kind);
                if code == 200 {
                    layer.health.working(Doing::to("watch", kind));
                    watch.heard(Instant::now());
                } else {
                    watch.failed(Instant::now());
                    // The text of an error is no news of the watch.
                    watched = None;
                }
            }
            Ok(answer?.map(|body| HeardBody {
                body,
                watch: watched.map(|kind| (kind, layer.heard.clone())),
            }))
        })
    }
}

/// What a request asks for, in the words of RBAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    verb: &'static str,
    resource: &'static str,
}

impl Asked {
    fn of<B>(request: &Request<B>) -> Self {
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        // By its place: a namespace or an object may have the name of a resource.
        let of_version = match segments.as_slice() {
            ["apis", _, _, rest @ ..] | ["api", _, rest @ ..] => rest,
            _ => &[],
        };
        let named = match of_version {
            ["namespaces", _, resource, rest @ ..] => [&[*resource], rest].concat(),
            other => other.to_vec(),
        };
        let (resource, has_name) = match named.as_slice() {
            ["devices", _, "status"] => ("devices/status", true),
            ["deviceprocesses", _, "status"] => ("deviceprocesses/status", true),
            ["devices", rest @ ..] => ("devices", !rest.is_empty()),
            ["deviceprocesses", rest @ ..] => ("deviceprocesses", !rest.is_empty()),
            ["events", rest @ ..] => ("events", !rest.is_empty()),
            _ => ("other", false),
        };
        let verb = match request.method().as_str() {
            "GET" if query.split('&').any(|pair| pair == "watch=true") => "watch",
            "GET" if has_name => "get",
            "GET" => "list",
            "POST" => "create",
            "PATCH" => "patch",
            _ => "other",
        };
        Self { verb, resource }
    }

    /// The kind whose watch this is.
    fn watched(self) -> Option<Kind> {
        match (self.verb, self.resource) {
            ("watch", "devices") => Some(Kind::Device),
            ("watch", "deviceprocesses") => Some(Kind::DeviceProcess),
            _ => None,
        }
    }
}

/// An answer's body; each piece of a watch's is a sign of life.
pub(super) struct HeardBody<B> {
    body: B,
    watch: Option<(Kind, Arc<Heard>)>,
}

impl<B: HttpBody + Unpin> HttpBody for HeardBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let (Some((kind, heard)), Poll::Ready(piece)) = (&self.watch, &polled) {
            match piece {
                // The end is the server's word too.
                Some(Ok(_)) | None => heard.of(*kind).heard(Instant::now()),
                Some(Err(_)) => heard.of(*kind).failed(Instant::now()),
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, uri: &str) -> (&'static str, &'static str) {
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        let Asked { verb, resource } = Asked::of(&request);
        (verb, resource)
    }

    #[test]
    fn requests_are_named_as_rbac_names_them() {
        const API: &str = "https://h/apis/apollo.azure.com/v1alpha1";
        for (method, path, expected) in [
            ("GET", "/devices?limit=500", ("list", "devices")),
            ("GET", "/devices?&watch=true&x=1", ("watch", "devices")),
            ("GET", "/devices/buoy", ("get", "devices")),
            ("POST", "/devices?", ("create", "devices")),
            ("PATCH", "/devices/buoy/status", ("patch", "devices/status")),
            ("GET", "/deviceprocesses", ("list", "deviceprocesses")),
            (
                "GET",
                "/namespaces/n/deviceprocesses/p",
                ("get", "deviceprocesses"),
            ),
            (
                "PATCH",
                "/namespaces/n/deviceprocesses/p/status",
                ("patch", "deviceprocesses/status"),
            ),
            ("DELETE", "/devices/buoy", ("other", "devices")),
            (
                "GET",
                "/namespaces/devices/deviceprocesses?&watch=true",
                ("watch", "deviceprocesses"),
            ),
            (
                "GET",
                "/namespaces/n/deviceprocesses/devices",
                ("get", "deviceprocesses"),
            ),
            (
                "PATCH",
                "/namespaces/n/deviceprocesses/status/status",
                ("patch", "deviceprocesses/status"),
            ),
            ("GET", "/devices/status", ("get", "devices")),
        ] {
            assert_eq!(
                asked(method, &format!("{API}{path}")),
                expected,
                "{method} {path}"
            );
        }
        assert_eq!(
            asked("POST", "https://h/api/v1/namespaces/default/events"),
            ("create", "events")
        );
    }

    /// The API server, with one answer to everything.
    struct Answering(u16);

    impl Service<Request<kube::client::Body>> for Answering {
        type Response = Response<kube::client::Body>;
        type Error = std::convert::Infallible;
        type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<kube::client::Body>) -> Self::Future {
            let body = kube::client::Body::from(b"text".to_vec());
            let answer = Response::builder().status(self.0).body(body);
            std::future::ready(Ok(answer.unwrap()))
        }
    }

    #[tokio::test]
    async fn the_text_of_a_refusal_is_no_sign_of_life() {
        let layer = HearingLayer {
            heard: Arc::default(),
            health: Arc::default(),
            metrics: Arc::default(),
        };
        let heard = layer.heard.clone();
        for (code, is_broken) in [(200, false), (404, true)] {
            let request = Request::get("/apis/apollo.azure.com/v1alpha1/devices?watch=true")
                .body(kube::client::Body::empty())
                .unwrap();
            let mut body = layer
                .layer(Answering(code))
                .call(request)
                .await
                .unwrap()
                .into_body();
            while std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context))
                .await
                .is_some()
            {}
            let later = Instant::now() + FAILING_MAX + Duration::from_secs(1);
            assert_eq!(heard.broken(Kind::Device, later).is_some(), is_broken, "{code}");
        }
    }

    #[test]
    fn a_watch_breaks_by_failing_or_by_silence_one_past_each_limit() {
        let (watch, start) = (Watch::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(watch.broken(start + SILENCE_MAX * 9), None, "it has not begun");
        watch.heard(start);
        assert_eq!(watch.broken(start + SILENCE_MAX), None);
        let silent = SILENCE_MAX + second;
        assert_eq!(watch.broken(start + silent), Some(silent));
        watch.failed(start + second);
        watch.failed(start + second * 5);
        assert_eq!(watch.broken(start + second + FAILING_MAX), None);
        assert!(watch.broken(start + second * 2 + FAILING_MAX).is_some());
        watch.heard(start + second * 20);
        assert_eq!(watch.broken(start + second * 40), None);
    }
}
