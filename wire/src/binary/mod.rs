//! The binary frames (`application/vnd.apollo`): few bytes, for links where bytes cost money.
//!
//! Normative description: `docs/wire.md`. The endpoint and direction say which message a frame is.

use crate::{DesiredState, Report, Verdicts, json};

/// The format version: the first byte of every frame.
pub const VERSION: u8 = 1;
/// The media type of these frames, also assumed where a request names none.
pub const MEDIA_TYPE: &str = "application/vnd.apollo";

/// A frame that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The first byte is not [`VERSION`].
    #[error("version is {0}, expected 1")]
    Version(u8),
    /// The frame ends inside a field.
    #[error("the frame ends inside {field}")]
    Truncated {
        /// The field.
        field: &'static str,
    },
    /// Bytes follow the last field.
    #[error("{bytes} bytes follow the last field, expected none")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A field holds something it must not.
    #[error("{field}: expected {expected}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A length or count is over its cap.
    #[error("{field} is {found}, at most {max} is allowed")]
    OverLimit {
        /// The field.
        field: &'static str,
        /// What the frame says.
        found: u64,
        /// The cap.
        max: u64,
    },
    /// The frame would unpack to more than [`crate::limits::FRAME_DECODED_BYTES`].
    #[error("the frame unpacks to more than {max} bytes", max = crate::limits::FRAME_DECODED_BYTES)]
    TooLarge,
}

impl DecodeError {
    /// Whether the frame is too large once decompressed: 413, not 400.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge)
    }
}

fn framed(body: Vec<u8>) -> Vec<u8> {
    [vec![VERSION], body].concat()
}

fn unframed(frame: &[u8]) -> Result<&[u8], DecodeError> {
    match frame.split_first() {
        Some((&VERSION, body)) => Ok(body),
        Some((&other, _)) => Err(DecodeError::Version(other)),
        None => Err(DecodeError::Truncated { field: "version" }),
    }
}

/// A report as a frame. `malformed` is not part of it.
pub fn encode_report(report: &Report) -> Vec<u8> {
    framed(json::encode_report(report))
}

/// Reads a report.
pub fn decode_report(frame: &[u8]) -> Result<Report, DecodeError> {
    json::decode_report(unframed(frame)?).map_err(|_| DecodeError::Invalid {
        field: "report",
        expected: "a report",
    })
}

/// Verdicts as a frame.
pub fn encode_verdicts(verdicts: &Verdicts) -> Vec<u8> {
    framed(json::encode_verdicts(verdicts))
}

/// Reads verdicts.
pub fn decode_verdicts(frame: &[u8]) -> Result<Verdicts, DecodeError> {
    json::decode_verdicts(unframed(frame)?).map_err(|_| DecodeError::Invalid {
        field: "verdicts",
        expected: "verdicts",
    })
}

/// A desired document as a frame.
pub fn encode_desired(desired: &DesiredState) -> Vec<u8> {
    framed(json::encode_desired(desired))
}

/// Reads a desired document.
pub fn decode_desired(frame: &[u8]) -> Result<DesiredState, DecodeError> {
    json::decode_desired(unframed(frame)?).map_err(|_| DecodeError::Invalid {
        field: "desired",
        expected: "a desired document",
    })
}
