//! What a gateway's answer means to the engine, as `apollo_agent::client` reads it.

use std::time::Duration;

use apollo_agent_core::engine::{DesiredOutcome, Document, Failure, FailureKind};
use apollo_wire::{Verdicts, binary};

use crate::network::Answer;

/// What the answer to a report means (`apollo_agent::client::reply`).
pub(super) fn verdicts(answer: Answer) -> Result<Verdicts, Failure> {
    let decoded = binary::decode_verdicts(&answer.body);
    match answer.status {
        200 => decoded.map_err(|error| Failure::new(FailureKind::Malformed, error.to_string())),
        403 => decoded.map_err(|_| refused(&answer)),
        _ => Err(refused(&answer)),
    }
}

/// What the answer to a poll means.
pub(super) fn desired(answer: Answer) -> DesiredOutcome {
    match answer.status {
        304 => DesiredOutcome::NotModified,
        200 => match binary::decode_desired(&answer.body) {
            Ok(desired) => DesiredOutcome::Changed(Document {
                etag: answer.etag,
                desired,
            }),
            Err(error) => DesiredOutcome::Failed(Failure::new(FailureKind::Malformed, error.to_string())),
        },
        _ => DesiredOutcome::Failed(refused(&answer)),
    }
}

fn refused(answer: &Answer) -> Failure {
    let kind = match answer.status {
        413 => FailureKind::TooLarge,
        status => FailureKind::Status(status),
    };
    Failure {
        retry_after: answer.retry_after_s.map(Duration::from_secs),
        ..Failure::new(kind, format!("answered {}", answer.status))
    }
}
