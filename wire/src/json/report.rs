//! Reading a report: the envelope strictly, its observations one by one.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    JsonError,
    fields::{is_object, list, object, optional, required, wrong},
    observation,
};
use crate::{Gap, QueueDepth, Report, limits};

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
    let envelope: Envelope = object(body, "report")?;
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
