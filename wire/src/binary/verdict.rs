//! The verdicts frame: a handful of numbers where everything was accepted.

use super::{
    DecodeError,
    cursor::{Cursor, distance, put},
    extension, packed,
};
use crate::{RejectReason, Rejection, SequenceRange, Verdicts, limits};

/// Bits of the byte that says which optional parts follow.
mod part {
    /// `acked` is one range that ends at `highestSequence`; else the ranges are listed.
    pub(super) const ONE_RANGE: u8 = 1;
    /// `accepted` is said; else it is what `acked` holds less duplicates and orphans.
    pub(super) const ACCEPTED: u8 = 1 << 1;
    pub(super) const DUPLICATES: u8 = 1 << 2;
    pub(super) const ORPHANED: u8 = 1 << 3;
    pub(super) const REJECTED: u8 = 1 << 4;
    pub(super) const EXTENSIONS: u8 = 1 << 5;
    /// The rejections are compressed.
    pub(super) const PACKED: u8 = 1 << 6;
    pub(super) const KNOWN: u8 = (1 << 7) - 1;
}

/// The reasons, in the order of their numbers.
const REASONS: [RejectReason; 4] = [
    RejectReason::NotBound,
    RejectReason::TimestampInFuture,
    RejectReason::TimestampTooOld,
    RejectReason::Malformed,
];

/// Longest explanation of a rejection, bytes; longer ones are cut when encoded. They end up in a device's dead letters.
pub const REJECTION_MESSAGE_BYTES: usize = 512;
/// Rejections are compressed where that saves at least this much: the two lengths and some time.
const WORTH_PACKING_BYTES: usize = 8;

/// Verdicts as a frame.
pub fn encode_verdicts(verdicts: &Verdicts) -> Vec<u8> {
    let one_range = verdicts.acked.len() == 1
        && verdicts
            .acked
            .iter()
            .all(|range| range.last == verdicts.highest_sequence && range.first <= range.last);
    let rejected = rejections(&verdicts.rejected);
    // Nothing rejected, which is nearly always, is nothing to compress.
    let packed = match rejected.is_empty() {
        true => Vec::new(),
        false => packed::put_packed(Vec::new(), &rejected),
    };
    let pack = packed.len() + WORTH_PACKING_BYTES <= rejected.len();
    let accepted = implied_accepted(&verdicts.acked, verdicts.duplicates, verdicts.orphaned);
    let parts = [
        (part::ONE_RANGE, one_range),
        (part::ACCEPTED, accepted != Some(verdicts.accepted)),
        (part::DUPLICATES, verdicts.duplicates != 0),
        (part::ORPHANED, verdicts.orphaned != 0),
        (part::REJECTED, !verdicts.rejected.is_empty()),
        (part::PACKED, pack),
    ];
    let there = |part: u8| parts.iter().any(|(other, there)| *other == part && *there);
    let mut frame = vec![super::VERSION];
    frame.push(
        parts
            .iter()
            .filter(|(_, there)| *there)
            .fold(0, |all, (part, _)| all | part),
    );
    frame = put(
        frame,
        &(
            verdicts.epoch,
            verdicts.highest_sequence,
            verdicts.server_time.get(),
            verdicts.clock_skew_ms,
        ),
    );
    if one_range {
        frame = put(
            frame,
            &verdicts
                .acked
                .iter()
                .map(|range| range.last - range.first)
                .sum::<u64>(),
        );
    } else {
        frame = put_ranges(frame, &verdicts.acked, verdicts.highest_sequence);
    }
    for (part, count) in [
        (part::ACCEPTED, verdicts.accepted),
        (part::DUPLICATES, verdicts.duplicates),
        (part::ORPHANED, verdicts.orphaned),
    ] {
        if there(part) {
            frame = put(frame, &count);
        }
    }
    frame.extend_from_slice(if pack { &packed } else { &rejected });
    frame
}

/// Ranges downwards from the highest sequence: how far below the next one's first it ends, and how many more it holds.
fn put_ranges(mut frame: Vec<u8>, ranges: &[SequenceRange], highest: u64) -> Vec<u8> {
    frame = put(frame, &(ranges.len() as u64));
    let mut above = highest;
    for range in ranges.iter().rev() {
        frame = put(
            frame,
            &(distance(range.last, above), range.last.wrapping_sub(range.first)),
        );
        above = range.first;
    }
    frame
}

fn take_ranges(cursor: &mut Cursor, highest: u64) -> Result<Vec<SequenceRange>, DecodeError> {
    let wrong = DecodeError::Invalid {
        field: "acked",
        expected: "sorted, disjoint ranges of sequences below 2^63",
    };
    let count = cursor.count("acked", limits::OBSERVATIONS)?;
    let mut ranges: Vec<SequenceRange> = Vec::new();
    let mut above = highest;
    for _ in 0..count {
        let (below, more): (i64, u64) = cursor.take("acked")?;
        let last = above.wrapping_sub(below.cast_unsigned());
        let first = last.checked_sub(more).ok_or(wrong.clone())?;
        if last > limits::SEQUENCE_MAX || ranges.last().is_some_and(|next| last >= next.first) {
            return Err(wrong);
        }
        ranges.push(SequenceRange { first, last });
        above = first;
    }
    ranges.reverse();
    Ok(ranges)
}

/// How many were new if every settled one was new, known before, or orphaned.
fn implied_accepted(acked: &[SequenceRange], duplicates: u32, orphaned: u32) -> Option<u32> {
    let settled = acked.iter().try_fold(0u64, |sum, range| {
        sum.checked_add(range.last.checked_sub(range.first)?.checked_add(1)?)
    })?;
    u32::try_from(
        settled
            .checked_sub(duplicates.into())?
            .checked_sub(orphaned.into())?,
    )
    .ok()
}

fn rejections(rejected: &[Rejection]) -> Vec<u8> {
    if rejected.is_empty() {
        return Vec::new();
    }
    let mut bytes = put(Vec::new(), &(rejected.len() as u64));
    let mut before = 0;
    for rejection in rejected {
        let reason = REASONS
            .iter()
            .position(|reason| *reason == rejection.reason)
            .unwrap_or(0) as u64;
        let end = rejection.message.floor_char_boundary(REJECTION_MESSAGE_BYTES);
        let message = rejection.message.get(..end).unwrap_or_default();
        bytes = put(bytes, &(distance(before, rejection.seq), reason, message));
        before = rejection.seq;
    }
    bytes
}

fn take_rejections(cursor: &mut Cursor) -> Result<Vec<Rejection>, DecodeError> {
    let invalid = |expected| DecodeError::Invalid {
        field: "rejected",
        expected,
    };
    let count = cursor.count("rejected", limits::OBSERVATIONS)?;
    if count == 0 {
        return Err(invalid("at least one, or no such part"));
    }
    let mut rejected = Vec::new();
    let mut before = 0;
    for _ in 0..count {
        let (step, reason): (i64, u64) = cursor.take("rejected")?;
        let seq = u64::wrapping_add(before, step.cast_unsigned());
        if seq > limits::SEQUENCE_MAX {
            return Err(invalid("sequences below 2^63"));
        }
        let reason = usize::try_from(reason)
            .ok()
            .and_then(|reason| REASONS.get(reason));
        let reason = *reason.ok_or(invalid("a reason of 0 to 3"))?;
        let message = cursor
            .text("rejected.message", REJECTION_MESSAGE_BYTES)?
            .to_owned();
        rejected.push(Rejection { seq, reason, message });
        before = seq;
    }
    Ok(rejected)
}

/// Reads verdicts.
///
/// # Errors
/// If the frame is broken, names a version or part this one does not know, or is over a limit.
pub fn decode_verdicts(frame: &[u8]) -> Result<Verdicts, DecodeError> {
    let mut cursor = Cursor::new(frame)?;
    let parts: u8 = cursor.take("parts")?;
    if parts & !part::KNOWN != 0 {
        return Err(DecodeError::Invalid {
            field: "parts",
            expected: "known parts only",
        });
    }
    let has = |part: u8| parts & part != 0;
    let (epoch, highest_sequence): (_, u64) = cursor.take("highestSequence")?;
    if highest_sequence > limits::SEQUENCE_MAX {
        return Err(DecodeError::Invalid {
            field: "highestSequence",
            expected: "a number below 2^63",
        });
    }
    let server_time = cursor.time("serverTime")?;
    let clock_skew_ms = cursor.take("clockSkewMs")?;
    let acked = if has(part::ONE_RANGE) {
        let more: u64 = cursor.take("acked")?;
        let expected = "a range that begins at 0 or later";
        let first = highest_sequence.checked_sub(more).ok_or(DecodeError::Invalid {
            field: "acked",
            expected,
        })?;
        vec![SequenceRange {
            first,
            last: highest_sequence,
        }]
    } else {
        take_ranges(&mut cursor, highest_sequence)?
    };
    let mut count = |part, field| {
        if has(part) {
            cursor.take(field).map(Some)
        } else {
            Ok(None)
        }
    };
    let accepted: Option<u32> = count(part::ACCEPTED, "accepted")?;
    let duplicates = count(part::DUPLICATES, "duplicates")?.unwrap_or(0);
    let orphaned = count(part::ORPHANED, "orphaned")?.unwrap_or(0);
    let expected = "to be said, as acked does not imply it";
    let accepted = accepted
        .or_else(|| implied_accepted(&acked, duplicates, orphaned))
        .ok_or(DecodeError::Invalid {
            field: "accepted",
            expected,
        })?;
    if has(part::EXTENSIONS) {
        extension::skip(&mut cursor)?;
    }
    let rejected = match (has(part::REJECTED), has(part::PACKED)) {
        (false, false) => Vec::new(),
        (true, false) => take_rejections(&mut cursor)?,
        (true, true) => {
            let bytes = packed::take_packed(&mut cursor, "rejected")?;
            let mut inside = Cursor::inside(&bytes);
            let rejected = take_rejections(&mut inside)?;
            inside.finish("rejected")?;
            rejected
        }
        (false, true) => {
            return Err(DecodeError::Invalid {
                field: "parts",
                expected: "no compression without rejections",
            });
        }
    };
    cursor.finish("the verdicts")?;
    Ok(Verdicts {
        epoch,
        highest_sequence,
        acked,
        accepted,
        duplicates,
        orphaned,
        rejected,
        server_time,
        clock_skew_ms,
    })
}
