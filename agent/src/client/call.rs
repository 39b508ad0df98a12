//! One HTTP/3 request and its bounded answer.

use std::time::Duration;

use bytes::{Buf, Bytes};
use h3::{
    client::{RequestStream, SendRequest},
    error::{Code, StreamError},
};
use http::{
    HeaderMap, Request, StatusCode,
    header::{ETAG, RETRY_AFTER},
};

type Streams = SendRequest<h3_quinn::OpenStreams, Bytes>;
type Stream = RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// Largest `ETag` kept, bytes: the gateway's are 18, and it travels back on each poll.
const ETAG_BYTES: usize = 128;

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Exactly as received, quotes included.
    pub etag: Option<String>,
    /// Retry-After in its form of seconds (RFC 9110, section 10.2.3); dates are for clocks that are right.
    pub retry_after: Option<Duration>,
    /// The body, as long as the call allowed.
    pub body: Bytes,
}

impl Answer {
    /// An answer from its parts, with what the client wants to know of its headers.
    #[must_use]
    pub fn new(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        Self {
            status,
            etag: etag(headers),
            retry_after: retry_after(headers),
            body,
        }
    }
}

/// Why there is no complete answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It was given up before it was complete.
    #[error("no complete answer came in time")]
    Silent,
    /// Stream or connection broke.
    #[error("the request broke off")]
    Broken(#[source] StreamError),
    /// The body grew over its bound.
    #[error("the answer has more than {limit_bytes} bytes")]
    TooLarge {
        /// The bound.
        limit_bytes: usize,
    },
}

/// A request on its way. The result stays in it, so that a caller that stops polling [`run`](Self::run) can still ask
/// what had been received.
pub(super) struct Call {
    request: Option<(Request<()>, Bytes)>,
    limit_bytes: usize,
    stream: Option<Stream>,
    result: Option<Result<Answer, CallError>>,
}

impl Call {
    /// A request with a body (an empty one is not sent) whose answer may have up to `limit_bytes`.
    pub(super) fn new(request: Request<()>, body: Bytes, limit_bytes: usize) -> Self {
        Self {
            request: Some((request, body)),
            limit_bytes,
            stream: None,
            result: None,
        }
    }

    /// Sends the request and receives the answer. Up to the first wait for the network nothing yields, so two calls
    /// polled one after the other leave in one datagram.
    pub(super) async fn run(&mut self, mut streams: Streams) {
        let Some((request, body)) = self.request.take() else {
            return;
        };
        match streams.send_request(request).await {
            Ok(stream) => {
                let stream = self.stream.insert(stream);
                self.result = Some(exchange(stream, body, self.limit_bytes).await);
            }
            Err(error) => self.result = Some(Err(CallError::Broken(error))),
        }
        if matches!(self.result, Some(Err(_))) {
            self.reset();
        }
    }

    /// The result; if there is none yet, the request is given up.
    pub(super) fn finish(mut self) -> Result<Answer, CallError> {
        if self.result.is_none() {
            self.reset();
        }
        self.result.take().unwrap_or(Err(CallError::Silent))
    }

    /// Tells the gateway that the request is void: dropping the stream alone would end it as if it were complete. Only
    /// the sending side: h3-quinn 0.0.10 panics in `stop_sending` when a `recv_data` was dropped half way, and dropping
    /// the receiving side stops it anyway.
    fn reset(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.stop_stream(Code::H3_REQUEST_CANCELLED);
        }
    }
}

async fn exchange(stream: &mut Stream, body: Bytes, limit_bytes: usize) -> Result<Answer, CallError> {
    // A gateway may answer before it has read the body (413) and stop it: the answer still counts.
    if send(stream, body).await.is_err() {
        tracing::debug!("the gateway stopped reading the request");
    }
    let response = stream.recv_response().await.map_err(CallError::Broken)?;
    let mut body = Vec::new();
    while let Some(mut chunk) = stream.recv_data().await.map_err(CallError::Broken)? {
        if chunk.remaining() > limit_bytes.saturating_sub(body.len()) {
            return Err(CallError::TooLarge { limit_bytes });
        }
        while chunk.has_remaining() {
            let part = chunk.chunk();
            body.extend_from_slice(part);
            let taken = part.len();
            chunk.advance(taken);
        }
    }
    Ok(Answer::new(response.status(), response.headers(), body.into()))
}

async fn send(stream: &mut Stream, body: Bytes) -> Result<(), StreamError> {
    if !body.is_empty() {
        stream.send_data(body).await?;
    }
    stream.finish().await
}

fn etag(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    (etag.len() <= ETAG_BYTES).then(|| etag.to_owned())
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_nothing_else() {
        assert_eq!(
            retry_after(&headers("retry-after", "7")),
            Some(Duration::from_secs(7))
        );
        for other in [
            "",
            "-1",
            "soon",
            "Wed, 21 Oct 2026 07:28:00 GMT",
            "99999999999999999999999",
        ] {
            assert_eq!(retry_after(&headers("retry-after", other)), None, "{other}");
        }
    }

    #[test]
    fn an_etag_is_kept_at_its_longest_and_dropped_one_past() {
        assert_eq!(
            etag(&headers("etag", &"e".repeat(ETAG_BYTES))).map(|etag| etag.len()),
            Some(ETAG_BYTES)
        );
        assert_eq!(etag(&headers("etag", &"e".repeat(ETAG_BYTES + 1))), None);
    }
}
