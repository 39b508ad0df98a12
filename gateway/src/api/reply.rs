//! An answer: status, headers and body, and the problem documents of RFC 9457.

use std::time::Duration;

use apollo_wire::{Problem, json};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};

/// An answer to a device. Replies in binary form carry no header that the device does not need: each costs bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers, besides those of the protocol; a handful at most.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body, complete.
    pub body: Bytes,
}

impl Reply {
    /// Status and nothing else.
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// Status and body, without headers.
    pub fn with_body(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            ..Self::empty(status)
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds `Retry-After`: whole seconds, rounded up (RFC 9110, section 10.2.3).
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// A problem document: what was wrong, and which field.
    pub fn problem(status: StatusCode, detail: impl Into<String>, field: Option<String>) -> Self {
        let problem = Problem {
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            detail: detail.into(),
            field,
        };
        let media_type = HeaderValue::from_static(json::PROBLEM_MEDIA_TYPE);
        Self::with_body(status, json::encode_problem(&problem)).header(header::CONTENT_TYPE, media_type)
    }
}
