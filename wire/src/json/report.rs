//! Reading a report: the envelope strictly, its observations one by one.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{JsonError, observation};
use crate::{Gap, QueueDepth, Report, limits};

/// What stands in for a list that is over its limit, so that the error can say so.
const TOO_MANY: &str = "more entries than allowed";

/// The envelope's fields as uninterpreted text, so that each can be named when it is wrong.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow, default)]
    instance: Option<&'a RawValue>,
    #[serde(borrow, default)]
    sent_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    next_contact_seconds: Option<&'a RawValue>,
    #[serde(borrow, default)]
    queue: Option<&'a RawValue>,
    #[serde(borrow, default)]
    offered_through: Option<&'a RawValue>,
    #[serde(borrow, default)]
    agent_version: Option<&'a RawValue>,
    #[serde(borrow, default)]
    gaps: Option<&'a RawValue>,
    #[serde(borrow, default)]
    observations: Option<&'a RawValue>,
}

/// Reads a report.
///
/// An observation whose `seq` can be read but whose other content is wrong goes to [`Report::malformed`].
/// Absent and `null` mean the same; unknown fields are ignored.
///
/// # Errors
/// If the body is no JSON object, if the envelope is wrong, or if some observation is no object or has no readable
/// `seq`: the error names the field.
pub fn decode_report(body: &[u8]) -> Result<Report, JsonError> {
    let syntax = |source| JsonError::Syntax {
        field: "report",
        source,
    };
    let raw: &RawValue = serde_json::from_slice(body).map_err(syntax)?;
    if !is_object(raw) {
        return Err(wrong("report", "an object"));
    }
    let envelope: Envelope = serde_json::from_str(raw.get()).map_err(syntax)?;
    let instance = required(envelope.instance, "instance", "a UUID")?;
    let sent_at = required(envelope.sent_at, "sentAt", "an RFC 3339 time")?;
    let mut report = Report::empty(instance, sent_at);
    report.next_contact_seconds = optional(
        envelope.next_contact_seconds,
        "nextContactSeconds",
        "a whole number of seconds below 2^32",
    )?;
    report.queue = optional::<QueueDepth>(
        envelope.queue,
        "queue",
        "an object with the whole numbers pending and dropped",
    )?;
    if envelope.queue.is_some_and(|queue| !is_object(queue)) {
        return Err(wrong("queue", "an object"));
    }
    report.offered_through = optional(
        envelope.offered_through,
        "offeredThrough",
        "a whole number below 2^63",
    )?;
    if report
        .offered_through
        .is_some_and(|sequence| sequence > limits::SEQUENCE_MAX)
    {
        return Err(wrong("offeredThrough", "a whole number below 2^63"));
    }
    report.agent_version = optional(envelope.agent_version, "agentVersion", "text of at most 64 bytes")?;
    if report
        .agent_version
        .as_ref()
        .is_some_and(|version| version.len() > limits::AGENT_VERSION_BYTES)
    {
        return Err(wrong("agentVersion", "text of at most 64 bytes"));
    }
    report.gaps = gaps(envelope.gaps)?;
    for (index, raw) in list(envelope.observations, "observations", limits::OBSERVATIONS)?
        .into_iter()
        .enumerate()
    {
        if !is_object(raw) {
            return Err(wrong(&format!("observations[{index}]"), "an object"));
        }
        match observation::decode(raw) {
            Some(Ok(observation)) => report.observations.push(observation),
            Some(Err(malformed)) => report.malformed.push(malformed),
            None => {
                let field = format!("observations[{index}].seq");
                return Err(JsonError::Field {
                    field,
                    expected: "a whole number below 2^63",
                });
            }
        }
    }
    Ok(report)
}

fn gaps(raw: Option<&RawValue>) -> Result<Vec<Gap>, JsonError> {
    let read = |(index, raw): (usize, &RawValue)| {
        serde_json::from_str::<Gap>(raw.get())
            .ok()
            .filter(|_| is_object(raw))
            .filter(|gap| gap.first <= gap.last && gap.last <= limits::SEQUENCE_MAX)
            .ok_or_else(|| JsonError::Field {
                field: format!("gaps[{index}]"),
                expected: "first <= last < 2^63 and a reason of QueueFull, Purged or Corrupt",
            })
    };
    list(raw, "gaps", limits::GAPS)?
        .into_iter()
        .enumerate()
        .map(read)
        .collect()
}

/// Whether this is a JSON object: an array of the fields' values, which the parser would also take, is not meant.
fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

fn wrong(field: &str, expected: &'static str) -> JsonError {
    JsonError::Field {
        field: field.to_owned(),
        expected,
    }
}

fn optional<T: DeserializeOwned>(
    raw: Option<&RawValue>,
    field: &str,
    expected: &'static str,
) -> Result<Option<T>, JsonError> {
    raw.map_or(Ok(None), |raw| {
        serde_json::from_str(raw.get()).map_err(|_| wrong(field, expected))
    })
}

fn required<T: DeserializeOwned>(
    raw: Option<&RawValue>,
    field: &str,
    expected: &'static str,
) -> Result<T, JsonError> {
    optional(raw, field, expected)?.ok_or_else(|| wrong(field, expected))
}

/// The elements of a JSON array as text, at most `max` of them; none if absent or null.
fn list<'a>(
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
