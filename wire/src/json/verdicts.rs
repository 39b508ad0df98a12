//! Reading verdicts: whole or not at all.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    JsonError,
    fields::{is_object, list, object, required, wrong},
};
use crate::{Rejection, SequenceRange, Verdicts, limits};

/// The fields as uninterpreted text, so that each can be named when it is wrong.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow, default)]
    epoch: Option<&'a RawValue>,
    #[serde(borrow, default)]
    highest_sequence: Option<&'a RawValue>,
    #[serde(borrow, default)]
    acked: Option<&'a RawValue>,
    #[serde(borrow, default)]
    accepted: Option<&'a RawValue>,
    #[serde(borrow, default)]
    duplicates: Option<&'a RawValue>,
    #[serde(borrow, default)]
    orphaned: Option<&'a RawValue>,
    #[serde(borrow, default)]
    rejected: Option<&'a RawValue>,
    #[serde(borrow, default)]
    server_time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    clock_skew_ms: Option<&'a RawValue>,
}

/// Reads verdicts. Unknown fields are ignored.
///
/// # Errors
/// If the body is no JSON object, or a field is missing, wrong or over a limit: the error names it.
pub fn decode_verdicts(body: &[u8]) -> Result<Verdicts, JsonError> {
    const COUNT: &str = "a whole number below 2^32";
    let envelope: Envelope = object(body, "verdicts")?;
    let highest_sequence = required(envelope.highest_sequence, "highestSequence", SEQUENCE)?;
    if highest_sequence > limits::SEQUENCE_MAX {
        return Err(wrong("highestSequence", SEQUENCE));
    }
    Ok(Verdicts {
        epoch: required(envelope.epoch, "epoch", COUNT)?,
        highest_sequence,
        acked: ranges(envelope.acked)?,
        accepted: required(envelope.accepted, "accepted", COUNT)?,
        duplicates: required(envelope.duplicates, "duplicates", COUNT)?,
        orphaned: required(envelope.orphaned, "orphaned", COUNT)?,
        rejected: rejections(envelope.rejected)?,
        server_time: required(envelope.server_time, "serverTime", "an RFC 3339 time")?,
        clock_skew_ms: required(envelope.clock_skew_ms, "clockSkewMs", "a whole number")?,
    })
}

const SEQUENCE: &str = "a whole number below 2^63";

fn ranges(raw: Option<&RawValue>) -> Result<Vec<SequenceRange>, JsonError> {
    let expected = "[first, last] with first <= last < 2^63, above the range before";
    let mut ranges: Vec<SequenceRange> = Vec::new();
    for (index, raw) in present(raw, "acked")?.into_iter().enumerate() {
        let range: Option<SequenceRange> = serde_json::from_str(raw.get()).ok();
        let above = ranges.last().map(|before| before.last);
        let range = range
            .filter(|range| range.first <= range.last && range.last <= limits::SEQUENCE_MAX)
            .filter(|range| above.is_none_or(|above| above < range.first));
        ranges.push(range.ok_or_else(|| wrong(&format!("acked[{index}]"), expected))?);
    }
    Ok(ranges)
}

fn rejections(raw: Option<&RawValue>) -> Result<Vec<Rejection>, JsonError> {
    let expected = "an object with a seq below 2^63 and one of the reasons";
    let read = |(index, raw): (usize, &RawValue)| {
        serde_json::from_str::<Rejection>(raw.get())
            .ok()
            .filter(|rejection| is_object(raw) && rejection.seq <= limits::SEQUENCE_MAX)
            .ok_or_else(|| wrong(&format!("rejected[{index}]"), expected))
    };
    present(raw, "rejected")?
        .into_iter()
        .enumerate()
        .map(read)
        .collect()
}

/// A list that must be there, empty or not: a gateway that settles nothing says so.
fn present<'a>(raw: Option<&'a RawValue>, field: &'static str) -> Result<Vec<&'a RawValue>, JsonError> {
    let raw = raw.ok_or_else(|| wrong(field, "a list"))?;
    list(Some(raw), field, limits::OBSERVATIONS)
}
