//! The JSON forms (`application/json`): for people, tools and clients that are not Apollo's agent.
//!
//! Decoding a report is lenient per observation: one bad observation becomes a [`crate::Malformed`] entry and the rest
//! of the report stands. Verdicts and desired documents come from a gateway and are taken whole or not at all.
//! Memory stays proportional to the body: lists are cut off at the contract's limits while they are read.

use serde::Serialize;

use crate::{DesiredState, Problem, Report, Verdicts};

mod desired;
mod fields;
mod observation;
mod report;
mod verdicts;

pub use desired::decode_desired;
pub use observation::Measurements;
pub use report::decode_report;
pub use verdicts::decode_verdicts;

/// The media type of these forms.
pub const MEDIA_TYPE: &str = "application/json";
/// The media type of [`Problem`] documents (RFC 9457).
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// A body that is not the JSON the contract describes.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON at all, or not the expected object.
    #[error("{field} is not JSON of the expected shape")]
    Syntax {
        /// Which message or field could not be read.
        field: &'static str,
        /// Where and why parsing stopped.
        #[source]
        source: serde_json::Error,
    },
    /// A field is missing or holds something else.
    #[error("{field}: expected {expected}")]
    Field {
        /// The field's path, such as `observations[3].seq`.
        field: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// A list is longer than the contract allows.
    #[error("{field} has more than {max} entries")]
    TooMany {
        /// The list's name.
        field: &'static str,
        /// Its limit.
        max: usize,
    },
}

impl JsonError {
    /// The offending field, for [`Problem::field`].
    pub fn field(&self) -> &str {
        match self {
            Self::Field { field, .. } => field,
            Self::Syntax { field, .. } | Self::TooMany { field, .. } => field,
        }
    }
}

/// A report as JSON text. `malformed` is not part of it.
pub fn encode_report(report: &Report) -> Vec<u8> {
    text(report)
}

/// Verdicts as JSON text.
pub fn encode_verdicts(verdicts: &Verdicts) -> Vec<u8> {
    text(verdicts)
}

/// A desired document as JSON text.
pub fn encode_desired(desired: &DesiredState) -> Vec<u8> {
    text(desired)
}

/// A problem document as JSON text.
pub fn encode_problem(problem: &Problem) -> Vec<u8> {
    text(problem)
}

/// Reads a problem document, as an agent does to say why it was refused. Unknown fields are ignored.
///
/// # Errors
/// If the body is no JSON object, or one of its fields is wrong.
pub fn decode_problem(body: &[u8]) -> Result<Problem, JsonError> {
    fields::object(body, "problem")
}

#[expect(
    clippy::expect_used,
    reason = "no map with keys other than text and no failing writer: see the types"
)]
fn text<T: Serialize>(message: &T) -> Vec<u8> {
    serde_json::to_vec(message).expect("the wire types always have a JSON form")
}
