//! HTTP answers as the agent reads them: from whoever holds the gateway's certificate.

use std::time::Duration;

use apollo_agent::client::{Answer, GatewayUrl, reply};
use apollo_agent_core::engine::{DesiredOutcome, Failure};
use bytes::Bytes;

use crate::{
    http_text::Message,
    memory::bounded,
    verdicts_and_desired::{check_desired, check_verdicts},
};

/// What reading an answer may hold; see the bound of frames.
const BYTES_MAX: usize = 4 * apollo_wire::limits::FRAME_DECODED_BYTES;
/// Longest message of a failure, characters: the URL, the status and the gateway's words, cut.
const MESSAGE_CHARS_MAX: usize = 600;
/// Longest tag that is kept, bytes.
const ETAG_BYTES_MAX: usize = 128;

/// A status line, headers, an empty line and a body. Both answers are understood or refused in words that fit a terminal;
/// what is understood keeps the limits.
pub fn gateway_answers(bytes: &[u8]) {
    let Some(message) = Message::read(bytes) else {
        return;
    };
    let status = message.first.parse().ok();
    let Some(status) = status.and_then(|code: u16| http::StatusCode::from_u16(code).ok()) else {
        return;
    };
    let url: GatewayUrl = "https://gateway:4433".parse().expect("a URL");
    let body = Bytes::copy_from_slice(message.body);
    let answer = Answer::new(status, &message.headers, body);
    assert!(
        answer
            .etag
            .as_ref()
            .is_none_or(|etag| etag.len() <= ETAG_BYTES_MAX)
    );
    let header = message.headers.get(http::header::RETRY_AFTER);
    let seconds = header.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    assert_eq!(answer.retry_after, seconds.map(Duration::from_secs));

    match bounded(BYTES_MAX, || reply::verdicts(&url, Ok(answer.clone()))) {
        Ok(verdicts) => {
            assert!([200, 403].contains(&status.as_u16()));
            check_verdicts(&verdicts);
        }
        Err(failure) => check_failure(&failure, &url),
    }
    match bounded(BYTES_MAX, || reply::desired(&url, Ok(answer))) {
        DesiredOutcome::Changed(document) => {
            assert_eq!(status, http::StatusCode::OK);
            check_desired(&document.desired);
        }
        DesiredOutcome::Failed(failure) => check_failure(&failure, &url),
        DesiredOutcome::NotModified => assert_eq!(status, http::StatusCode::NOT_MODIFIED),
        DesiredOutcome::NotAsked => panic!("it was asked"),
    }
}

fn check_failure(failure: &Failure, url: &GatewayUrl) {
    let message = &failure.message;
    assert!(message.starts_with(&url.to_string()), "{message}");
    assert!(message.chars().count() <= MESSAGE_CHARS_MAX, "{message}");
    assert!(!message.contains(char::is_control), "{message:?}");
}
