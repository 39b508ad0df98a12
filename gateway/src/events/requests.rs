//! Requests of devices.

use std::time::Duration;

use http::StatusCode;

use crate::metrics::{Metrics, RequestLabels, RouteLabel};

/// A request has its answer.
pub struct RequestAnswered {
    /// "report", "desired" or "other".
    pub route: &'static str,
    /// The answer's status.
    pub status: StatusCode,
    /// From its headers to the answer; `None` for a poll that was held, whose length says nothing.
    pub duration: Option<Duration>,
}

impl RequestAnswered {
    /// Counts, and logs at debug.
    pub fn emit(self, metrics: &Metrics) {
        let Self {
            route,
            status,
            duration,
        } = self;
        let code = status.as_u16();
        metrics
            .requests
            .get_or_create(&RequestLabels { route, code })
            .inc();
        if let Some(duration) = duration {
            let histogram = metrics.request_duration.get_or_create(&RouteLabel { route });
            histogram.observe(duration.as_secs_f64());
        }
        tracing::debug!(route, code, ?duration, "request answered");
    }
}
