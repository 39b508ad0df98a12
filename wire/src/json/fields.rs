//! The fields of a JSON object, read one by one, so that an error can name the field.
//!
//! The parser alone would also take a list of the fields' values for an object: that is not what the contract says, and
//! it would be misread as soon as a field is added.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::JsonError;

/// What stands in for a list that is over its limit, so that the error can say so.
const TOO_MANY: &str = "more entries than allowed";

/// A whole body that is one object.
pub(super) fn object<'a, T: Deserialize<'a>>(body: &'a [u8], field: &'static str) -> Result<T, JsonError> {
    let syntax = |source| JsonError::Syntax { field, source };
    let raw: &RawValue = serde_json::from_slice(body).map_err(syntax)?;
    if !is_object(raw) {
        return Err(wrong(field, "an object"));
    }
    serde_json::from_str(raw.get()).map_err(syntax)
}

/// Whether this is a JSON object: an array of the fields' values, which the parser would also take, is not meant.
pub(super) fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

pub(super) fn wrong(field: &str, expected: &'static str) -> JsonError {
    JsonError::Field {
        field: field.to_owned(),
        expected,
    }
}

pub(super) fn optional<T: DeserializeOwned>(
    raw: Option<&RawValue>,
    field: &str,
    expected: &'static str,
) -> Result<Option<T>, JsonError> {
    raw.map_or(Ok(None), |raw| {
        serde_json::from_str(raw.get()).map_err(|_| wrong(field, expected))
    })
}

pub(super) fn required<T: DeserializeOwned>(
    raw: Option<&RawValue>,
    field: &str,
    expected: &'static str,
) -> Result<T, JsonError> {
    optional(raw, field, expected)?.ok_or_else(|| wrong(field, expected))
}

/// The elements of a JSON array as text, at most `max` of them; none if absent or null.
pub(super) fn list<'a>(
    raw: Option<&'a RawValue>,
    field: &'static str,
    max: usize,
) -> Result<Vec<&'a RawValue>, JsonError> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
        return Ok(Vec::new());
    };
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    deserializer
        .deserialize_seq(Elements {
            max,
            lifetime: PhantomData,
        })
        .map_err(|source| {
            if source.to_string().starts_with(TOO_MANY) {
                JsonError::TooMany { field, max }
            } else {
                wrong(field, "a list")
            }
        })
}

/// Collects elements and gives up one past `max`, before it allocates for more.
struct Elements<'a> {
    max: usize,
    lifetime: PhantomData<&'a RawValue>,
}

impl<'de> Visitor<'de> for Elements<'de> {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element()? {
            if elements.len() == self.max {
                return Err(A::Error::custom(TOO_MANY));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

/// The beginning of some peer's text, to quote in an error.
pub(super) fn quoted(raw: &RawValue) -> Cow<'_, str> {
    /// Enough to recognize the value, short enough for a log line.
    const CHARACTERS: usize = 40;
    match raw.get().char_indices().nth(CHARACTERS) {
        Some((end, _)) => Cow::Owned(format!("{}...", raw.get().get(..end).unwrap_or_default())),
        None => Cow::Borrowed(raw.get()),
    }
}
