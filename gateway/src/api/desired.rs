//! `GET /v1/desired[?wait=SECONDS]`: what should run on the device, if it has changed.

use std::time::Duration;

use apollo_gateway_core::{
    desired::{Fetch, Form},
    etag::ETag,
};
use apollo_wire::{DeviceName, json};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use tokio::time::Instant;

use super::{Api, negotiate, reply::Reply};
use crate::store::Store;

/// Longest a poll is held, seconds. Past an hour most NATs have forgotten the path the answer would take.
const WAIT_SECONDS_MAX: u64 = 3600;
/// `Retry-After` of a poll that comes before the index is complete: it takes seconds after a start.
const INDEX_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Whether a request's answer may wait a moment for a report's: a poll that is answered with what there is. One that is
/// held has no answer yet.
pub(super) fn is_plain(query: Option<&str>) -> bool {
    wait(query) == Ok(Duration::ZERO)
}

impl<S: Store> Api<S> {
    /// Sets `held` if the answer was kept waiting.
    pub(super) async fn desired(&self, head: &Parts, device: &DeviceName, held: &mut bool) -> Reply {
        let form = match negotiate::reply_form(&head.headers, Form::Binary) {
            Ok(form) => form,
            Err(reply) => return reply,
        };
        let wait = match wait(head.uri.query()) {
            Ok(wait) => wait,
            Err(reply) => return reply,
        };
        if !self.service.index.is_ready() {
            return Reply::problem(StatusCode::SERVICE_UNAVAILABLE, "the gateway is starting", None)
                .retry_after(INDEX_RETRY_AFTER);
        }
        let if_none_match = if_none_match(&head.headers);
        let deadline = Instant::now() + wait;
        loop {
            // Begun before the look, so that a change between look and wait is not missed.
            let change = self.service.index.change(device);
            let etag = match self.service.index.fetch(device, if_none_match.as_deref(), form) {
                Fetch::Body { etag, body } => return document(Bytes::from_owner(body), form, &etag),
                Fetch::NotModified { etag } => etag,
            };
            if self.service.lifecycle().is_draining() || Instant::now() >= deadline {
                return Reply::empty(StatusCode::NOT_MODIFIED).header(header::ETAG, etag_value(&etag));
            }
            *held = true;
            // Cancel-safe: all three only wait.
            tokio::select! {
                () = change => {}
                () = tokio::time::sleep_until(deadline) => {}
                () = self.service.lifecycle().draining() => {}
            }
        }
    }
}

fn document(body: Bytes, form: Form, etag: &ETag) -> Reply {
    let reply = Reply::with_body(StatusCode::OK, body).header(header::ETAG, etag_value(etag));
    match form {
        Form::Binary => reply,
        Form::Json => reply.header(header::CONTENT_TYPE, HeaderValue::from_static(json::MEDIA_TYPE)),
    }
}

fn etag_value(etag: &ETag) -> HeaderValue {
    // A tag is made of characters that are valid in a header.
    HeaderValue::from_str(etag.as_str()).unwrap_or(HeaderValue::from_static("\"\""))
}

/// All lines of `If-None-Match`, joined (RFC 9110, section 5.3).
pub fn if_none_match(headers: &HeaderMap) -> Option<String> {
    let lines: Vec<&str> = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// The parameter `wait`. Parameters this version does not know are ignored.
///
/// # Errors
/// 400 if it is no whole number of seconds up to an hour, or there twice.
pub fn wait(query: Option<&str>) -> Result<Duration, Reply> {
    let mut seconds = None;
    for (name, value) in query
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
    {
        if name == "wait" {
            let number = value
                .parse::<u64>()
                .ok()
                .filter(|number| *number <= WAIT_SECONDS_MAX);
            if seconds.is_some() || number.is_none() || value.starts_with('+') {
                let detail =
                    format!("wait: expected one whole number of seconds from 0 to {WAIT_SECONDS_MAX}");
                return Err(Reply::problem(
                    StatusCode::BAD_REQUEST,
                    detail,
                    Some("wait".to_owned()),
                ));
            }
            seconds = number;
        }
    }
    Ok(Duration::from_secs(seconds.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_is_read_up_to_its_bound_and_not_one_past() {
        for (query, seconds) in [
            (None, 0),
            (Some("wait=0"), 0),
            (Some("a=b&wait=3600"), 3600),
            (Some("x"), 0),
        ] {
            assert_eq!(wait(query), Ok(Duration::from_secs(seconds)), "{query:?}");
        }
        for query in [
            "wait=3601",
            "wait=-1",
            "wait=",
            "wait=1.5",
            "wait=+1",
            "wait=1&wait=2",
            "wait=9e9",
        ] {
            let refused = wait(Some(query)).unwrap_err();
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{query}");
            assert!(
                String::from_utf8_lossy(&refused.body).contains("\"field\":\"wait\""),
                "{query}"
            );
        }
    }
}
