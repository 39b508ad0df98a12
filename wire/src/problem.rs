//! Errors as the gateway writes them: `application/problem+json` (RFC 9457).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A problem document. `type` is always "about:blank" and so left out (RFC 9457, section 4.2.1): the status says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The status code's name.
    pub title: Cow<'static, str>,
    /// The HTTP status code.
    pub status: u16,
    /// What was wrong with this request, and what was expected.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The offending field, such as `observations[3].seq`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}
