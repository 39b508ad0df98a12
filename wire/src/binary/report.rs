//! The report frame: an envelope of postcard values, then the observations as coded columns.

use std::convert::Infallible;

use super::{
    DecodeError,
    batch::Batch,
    columns::Coding,
    cursor::{Cursor, distance, put},
    extension, packed,
    range_coder::{Decoder, Encoder},
    rows,
    strings::{MODELLED_BYTES, Strings},
};
use crate::{Gap, GapReason, InstanceId, QueueDepth, Report, limits};

/// Bits of the byte that says which optional parts follow, in this order.
mod part {
    pub(super) const NEXT_CONTACT: u8 = 1;
    pub(super) const QUEUE: u8 = 1 << 1;
    pub(super) const OFFERED_THROUGH: u8 = 1 << 2;
    pub(super) const AGENT_VERSION: u8 = 1 << 3;
    pub(super) const GAPS: u8 = 1 << 4;
    pub(super) const EXTENSIONS: u8 = 1 << 5;
    pub(super) const PACKED_TEXTS: u8 = 1 << 6;
    pub(super) const OBSERVATIONS: u8 = 1 << 7;
}

/// The reasons of gaps, in the order of their numbers.
const GAP_REASONS: [GapReason; 3] = [GapReason::QueueFull, GapReason::Purged, GapReason::Corrupt];

/// A report as a frame. [`Report::malformed`] is not part of it.
///
/// Limits are the receiver's to judge: a report beyond them is encoded, and refused where it arrives.
pub fn encode_report(report: &Report) -> Vec<u8> {
    let mut batch = Batch::new(&report.observations);
    let texts = [
        &batch.processes,
        &batch.templates,
        &batch.reasons,
        &batch.value_names,
    ];
    let text_bytes: usize = texts.into_iter().flatten().map(Vec::len).sum();
    let packed = text_bytes > MODELLED_BYTES;
    let mut frame = envelope(report, packed);
    if report.observations.is_empty() {
        return frame;
    }
    if packed {
        let texts: Vec<u8> = texts.into_iter().flatten().flatten().copied().collect();
        frame = packed::put_packed(frame, &texts);
    }
    let mut strings = if packed {
        Strings::Collected
    } else {
        Strings::modelled()
    };
    let mut encoder = Encoder::new(frame);
    let Ok(()): Result<(), Infallible> =
        Coding::new(&mut encoder, &mut strings).batch(&mut batch, report.sent_at.get());
    encoder.finish()
}

fn envelope(report: &Report, packed: bool) -> Vec<u8> {
    let parts = [
        (part::NEXT_CONTACT, report.next_contact_seconds.is_some()),
        (part::QUEUE, report.queue.is_some()),
        (part::OFFERED_THROUGH, report.offered_through.is_some()),
        (part::AGENT_VERSION, report.agent_version.is_some()),
        (part::GAPS, !report.gaps.is_empty()),
        (part::PACKED_TEXTS, packed),
        (part::OBSERVATIONS, !report.observations.is_empty()),
    ];
    let parts = parts
        .into_iter()
        .filter(|(_, there)| *there)
        .fold(0, |parts, (part, _)| parts | part);
    let mut frame = vec![super::VERSION];
    frame.extend_from_slice(report.instance.as_bytes());
    frame = put(frame, &report.sent_at.get());
    frame.push(parts);
    if let Some(seconds) = report.next_contact_seconds {
        frame = put(frame, &seconds);
    }
    if let Some(queue) = report.queue {
        frame = put(frame, &(queue.pending, queue.dropped));
    }
    if let Some(sequence) = report.offered_through {
        frame = put(frame, &sequence);
    }
    if let Some(version) = &report.agent_version {
        frame = put(frame, version);
    }
    if report.gaps.is_empty() {
        return frame;
    }
    frame = put(frame, &(report.gaps.len() as u64));
    let mut after = 0;
    for gap in &report.gaps {
        let reason = GAP_REASONS
            .iter()
            .position(|reason| *reason == gap.reason)
            .unwrap_or(0) as u64;
        frame = put(
            frame,
            &(
                distance(after, gap.first),
                gap.last.wrapping_sub(gap.first),
                reason,
            ),
        );
        after = gap.last;
    }
    frame
}

/// Reads a report.
///
/// An observation that breaks a bound of the contract goes to [`Report::malformed`]; the rest of the report stands.
///
/// # Errors
/// If the frame itself is broken, names a version or part this one does not know, or is over a limit.
/// [`DecodeError::is_too_large`] if it would unpack to more than [`limits::FRAME_DECODED_BYTES`].
pub fn decode_report(frame: &[u8]) -> Result<Report, DecodeError> {
    let mut cursor = Cursor::new(frame)?;
    let instance = InstanceId::from_bytes(cursor.take("instance")?);
    let sent_at = cursor.time("sentAt")?;
    let parts: u8 = cursor.take("parts")?;
    let has = |part: u8| parts & part != 0;
    let mut report = Report::empty(instance, sent_at);
    if has(part::NEXT_CONTACT) {
        report.next_contact_seconds = Some(cursor.take("nextContactSeconds")?);
    }
    if has(part::QUEUE) {
        let (pending, dropped) = cursor.take("queue")?;
        report.queue = Some(QueueDepth { pending, dropped });
    }
    if has(part::OFFERED_THROUGH) {
        report.offered_through = Some(sequence(cursor.take("offeredThrough")?, "offeredThrough")?);
    }
    if has(part::AGENT_VERSION) {
        report.agent_version = Some(
            cursor
                .text("agentVersion", limits::AGENT_VERSION_BYTES)?
                .to_owned(),
        );
    }
    if has(part::GAPS) {
        report.gaps = gaps(&mut cursor)?;
    }
    if has(part::EXTENSIONS) {
        extension::skip(&mut cursor)?;
    }
    if !has(part::OBSERVATIONS) {
        let expected = "no compressed texts without observations";
        let sound = !has(part::PACKED_TEXTS);
        return if sound {
            cursor.finish("the envelope").map(|()| report)
        } else {
            Err(invalid("parts", expected))
        };
    }
    let mut strings = if has(part::PACKED_TEXTS) {
        Strings::Unpacked(packed::take_packed(&mut cursor, "texts")?.into_iter())
    } else {
        Strings::modelled()
    };
    let mut batch = Batch::default();
    let mut decoder = Decoder::new(cursor.rest());
    Coding::new(&mut decoder, &mut strings).batch(&mut batch, sent_at.get())?;
    decoder.finish("observations")?;
    strings.finish()?;
    rows::append(&batch, &mut report)?;
    Ok(report)
}

fn gaps(cursor: &mut Cursor) -> Result<Vec<Gap>, DecodeError> {
    let count = cursor.count("gaps", limits::GAPS)?;
    if count == 0 {
        return Err(invalid("gaps", "at least one, or no such part"));
    }
    let mut gaps = Vec::with_capacity(count);
    let mut after = 0;
    for _ in 0..count {
        let (step, more, reason): (i64, u64, u64) = cursor.take("gaps")?;
        let first = sequence(u64::wrapping_add(after, step.cast_unsigned()), "gaps")?;
        let last = sequence(first.saturating_add(more), "gaps")?;
        let reason = usize::try_from(reason)
            .ok()
            .and_then(|reason| GAP_REASONS.get(reason));
        let reason = *reason.ok_or(invalid("gaps", "a reason of 0 to 2"))?;
        gaps.push(Gap { first, last, reason });
        after = last;
    }
    Ok(gaps)
}

fn sequence(sequence: u64, field: &'static str) -> Result<u64, DecodeError> {
    if sequence <= limits::SEQUENCE_MAX {
        Ok(sequence)
    } else {
        Err(invalid(field, "a number below 2^63"))
    }
}

fn invalid(field: &'static str, expected: &'static str) -> DecodeError {
    DecodeError::Invalid { field, expected }
}
