//! Bytes compressed with zstd, for texts too long for the text model: bounded before anything is allocated.

use super::{
    DecodeError,
    cursor::{Cursor, put},
};
use crate::limits;

/// zstd level. Of 80 KB of log lines it leaves 24.0 KB, where level 3 leaves 25.2 and level 19 leaves 23.2: most of the
/// gain of the slow levels, in the time and memory of the fast ones, which is what a small device has.
const LEVEL: i32 = 9;

/// Appends `bytes` compressed: their length, the compressed length, the zstd frame.
pub(super) fn put_packed(mut frame: Vec<u8>, bytes: &[u8]) -> Vec<u8> {
    // Compression into a buffer of the bound's size only fails if memory does; the empty frame is then refused.
    let packed = zstd::bulk::compress(bytes, LEVEL).unwrap_or_default();
    frame = put(frame, &(bytes.len() as u64));
    frame = put(frame, &(packed.len() as u64));
    frame.extend_from_slice(&packed);
    frame
}

/// Reads bytes written by [`put_packed`].
pub(super) fn take_packed(cursor: &mut Cursor, field: &'static str) -> Result<Vec<u8>, DecodeError> {
    let length: u64 = cursor.take(field)?;
    let Some(length) = usize::try_from(length)
        .ok()
        .filter(|length| *length <= limits::FRAME_DECODED_BYTES)
    else {
        return Err(DecodeError::TooLarge { field });
    };
    let packed = cursor.count(field, limits::FRAME_DECODED_BYTES)?;
    let packed = cursor.bytes(field, packed)?;
    let invalid = DecodeError::Invalid {
        field,
        expected: "one zstd frame of exactly the length it was said to have",
    };
    if zstd::zstd_safe::find_frame_compressed_size(packed) != Ok(packed.len()) {
        return Err(invalid);
    }
    match zstd::bulk::decompress(packed, length) {
        Ok(bytes) if bytes.len() == length => Ok(bytes),
        _ => Err(invalid),
    }
}
