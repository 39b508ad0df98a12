//! What an HTTP answer means to the engine.

use apollo_agent_core::engine::{DesiredOutcome, Document, Failure, FailureKind};
use apollo_wire::{Verdicts, binary, json};
use bytes::Bytes;
use http::StatusCode;

use super::{
    call::{Answer, CallError},
    gateway_url::GatewayUrl,
};

/// Longest part of a gateway's explanation that is passed on to people, characters.
const DETAIL_CHARS: usize = 300;

/// Reads the answer to a report.
///
/// # Errors
/// What the failure means to the engine, with the gateway's own words for people.
pub fn verdicts(url: &GatewayUrl, result: Result<Answer, CallError>) -> Result<Verdicts, Failure> {
    let answer = result.map_err(|error| unanswered(url, "/v1/report", error))?;
    match answer.status {
        StatusCode::OK => decode_verdicts(url, &answer.body),
        // 403 has verdicts where every row was refused, and a problem document where the device is blocked.
        StatusCode::FORBIDDEN => {
            binary::decode_verdicts(&answer.body).map_err(|_| refused(url, "/v1/report", &answer))
        }
        _ => Err(refused(url, "/v1/report", &answer)),
    }
}

/// Reads the answer to a poll.
pub fn desired(url: &GatewayUrl, result: Result<Answer, CallError>) -> DesiredOutcome {
    let answer = match result {
        Ok(answer) => answer,
        Err(error) => return DesiredOutcome::Failed(unanswered(url, "/v1/desired", error)),
    };
    match answer.status {
        StatusCode::NOT_MODIFIED => DesiredOutcome::NotModified,
        StatusCode::OK => match binary::decode_desired(&answer.body) {
            Ok(desired) => DesiredOutcome::Changed(Document {
                etag: answer.etag,
                desired,
            }),
            Err(error) => DesiredOutcome::Failed(malformed(url, "desired document", &error)),
        },
        _ => DesiredOutcome::Failed(refused(url, "/v1/desired", &answer)),
    }
}

fn decode_verdicts(url: &GatewayUrl, body: &Bytes) -> Result<Verdicts, Failure> {
    binary::decode_verdicts(body).map_err(|error| malformed(url, "verdicts", &error))
}

fn malformed(url: &GatewayUrl, what: &str, error: &binary::DecodeError) -> Failure {
    Failure::new(
        FailureKind::Malformed,
        format!("{url} sent a reply that is no {what}: {error}"),
    )
}

fn unanswered(url: &GatewayUrl, path: &str, error: CallError) -> Failure {
    let kind = match error {
        CallError::TooLarge { .. } => FailureKind::Malformed,
        CallError::Silent | CallError::Broken(_) => FailureKind::Interrupted,
    };
    Failure::new(kind, format!("{url}{path}: {}", crate::exit::chain(&error)))
}

fn refused(url: &GatewayUrl, path: &str, answer: &Answer) -> Failure {
    let kind = match answer.status {
        StatusCode::PAYLOAD_TOO_LARGE => FailureKind::TooLarge,
        status => FailureKind::Status(status.as_u16()),
    };
    let detail = match json::decode_problem(&answer.body) {
        Ok(problem) if !problem.detail.is_empty() => problem.detail,
        Ok(problem) => problem.title.into_owned(),
        Err(_) => String::new(),
    };
    // The text ends up on terminals: no control characters from a peer.
    let detail: String = detail
        .chars()
        .filter(|char| !char.is_control())
        .take(DETAIL_CHARS)
        .collect();
    let separator = if detail.is_empty() { "" } else { ": " };
    let message = format!("{url}{path} answered {}{separator}{detail}", answer.status);
    Failure {
        kind,
        retry_after: answer.retry_after,
        message,
    }
}

#[cfg(test)]
mod tests {
    use apollo_wire::{DesiredState, UnixMillis};

    use super::*;

    fn url() -> GatewayUrl {
        "https://gateway:4433".parse().unwrap()
    }

    fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            etag: None,
            retry_after: None,
            body: body.into(),
        }
    }

    fn some_verdicts() -> Verdicts {
        Verdicts {
            epoch: 1,
            highest_sequence: 0,
            acked: vec![],
            accepted: 0,
            duplicates: 0,
            orphaned: 0,
            rejected: vec![],
            server_time: UnixMillis::saturating(0),
            clock_skew_ms: 0,
        }
    }

    #[test]
    fn verdicts_count_with_200_and_with_403() {
        let body = binary::encode_verdicts(&some_verdicts());
        for status in [200, 403] {
            assert_eq!(
                verdicts(&url(), Ok(answer(status, body.clone()))),
                Ok(some_verdicts())
            );
        }
        assert!(verdicts(&url(), Ok(answer(503, body))).is_err());
    }

    #[test]
    fn a_problem_document_is_passed_on_without_control_characters() {
        let body = r#"{"title":"Forbidden","status":403,"detail":"device buoy-1 is \u001b[31mblocked"}"#;
        let failure = verdicts(&url(), Ok(answer(403, body))).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Status(403));
        assert_eq!(
            failure.message,
            "https://gateway:4433/v1/report answered 403 Forbidden: device buoy-1 is [31mblocked"
        );
    }

    #[test]
    fn garbage_is_malformed_and_413_is_too_large() {
        let kind = |status, body| verdicts(&url(), Ok(answer(status, body))).unwrap_err().kind;
        assert_eq!(kind(200, "garbage"), FailureKind::Malformed);
        assert_eq!(kind(200, ""), FailureKind::Malformed);
        assert_eq!(kind(413, ""), FailureKind::TooLarge);
        assert_eq!(kind(500, "garbage"), FailureKind::Status(500));
    }

    #[test]
    fn a_304_is_not_modified_with_or_without_an_etag() {
        assert!(matches!(
            desired(&url(), Ok(answer(304, ""))),
            DesiredOutcome::NotModified
        ));
        let state = DesiredState {
            device: "buoy-1".parse().unwrap(),
            processes: vec![],
        };
        let answer = Answer {
            etag: Some("\"a\"".to_owned()),
            ..answer(200, binary::encode_desired(&state))
        };
        let DesiredOutcome::Changed(document) = desired(&url(), Ok(answer)) else {
            panic!()
        };
        assert_eq!(
            document,
            Document {
                etag: Some("\"a\"".to_owned()),
                desired: state
            }
        );
    }
}
