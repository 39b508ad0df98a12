//! The device API over HTTP/3: two routes (docs/api.md).
//!
//! Everything here works on values: a request's head, a [`body::Body`] to read from, and who is calling.

use std::{sync::Arc, time::Instant};

use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use tokio::sync::Semaphore;

use crate::{
    events,
    listener::identity::{Identity, IdentityError},
    metrics::Metrics,
    service::{Service, slots},
    store::Store,
};

pub mod body;
pub mod desired;
pub mod negotiate;
pub mod reply;
mod report;

use body::Body;
use reply::Reply;

/// Answers requests of devices.
pub struct Api<S> {
    service: Arc<Service<S>>,
    metrics: Arc<Metrics>,
    max_body: usize,
    body_budget: Semaphore,
}

/// What a request's answer means for others of its connection: which of them go out together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Companion {
    /// A report: worth waiting for.
    Report,
    /// A poll answered with what there is: it waits for reports, its device wants both answers anyway.
    Poll,
    /// Neither.
    None,
}

impl Companion {
    /// By the head of the request.
    pub fn of(head: &Parts) -> Self {
        match (Route::of(head.uri.path()), &head.method) {
            (Route::Report, &Method::POST) => Self::Report,
            (Route::Desired, &Method::GET) if desired::is_plain(head.uri.query()) => Self::Poll,
            _ => Self::None,
        }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Report,
    Desired,
    Other,
}

impl Route {
    fn of(path: &str) -> Self {
        match path {
            "/v1/report" => Self::Report,
            "/v1/desired" => Self::Desired,
            _ => Self::Other,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Desired => "desired",
            Self::Other => "other",
        }
    }
}

impl<S: Store> Api<S> {
    /// An API that takes bodies of at most `max_body` bytes.
    pub fn new(service: Arc<Service<S>>, metrics: Arc<Metrics>, max_body: usize) -> Self {
        Self {
            service,
            metrics,
            max_body,
            body_budget: Semaphore::new(slots::BODY_BYTES),
        }
    }

    /// The answer to one request; `None` if nobody is left to take it.
    pub async fn answer(
        &self,
        head: &Parts,
        body: &mut impl Body,
        identity: Result<Identity, IdentityError>,
    ) -> Option<Reply> {
        let began = Instant::now();
        let route = Route::of(head.uri.path());
        let mut held = false;
        let answer = match (identity, route, &head.method) {
            (Err(error), _, _) => Some(Reply::problem(StatusCode::UNAUTHORIZED, error.to_string(), None)),
            (Ok(caller), Route::Report, &Method::POST) => self.report(head, body, &caller.device).await,
            (Ok(caller), Route::Desired, &Method::GET) => {
                Some(self.desired(head, &caller.device, &mut held).await)
            }
            (Ok(_), Route::Report, _) => Some(method_not_allowed("POST")),
            (Ok(_), Route::Desired, _) => Some(method_not_allowed("GET")),
            (Ok(_), Route::Other, _) => {
                let detail = "there are POST /v1/report and GET /v1/desired";
                Some(Reply::problem(StatusCode::NOT_FOUND, detail, None))
            }
        };
        if let Some(reply) = &answer {
            events::RequestAnswered {
                route: route.label(),
                status: reply.status,
                duration: (!held).then(|| began.elapsed()),
            }
            .emit(&self.metrics);
        }
        answer
    }
}

fn method_not_allowed(allowed: &'static str) -> Reply {
    Reply::problem(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("expected {allowed}"),
        None,
    )
    .header(header::ALLOW, HeaderValue::from_static(allowed))
}
