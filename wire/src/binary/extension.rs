//! How version 1 grows: optional parts that an older reader skips.
//!
//! Where a frame's parts byte says so, a list of extensions follows the known parts: their number, and for each a tag
//! and its length in bytes, then the bytes. A reader skips the tags it does not know. Nothing writes any yet.

use super::{DecodeError, cursor::Cursor};

/// Most extensions in one frame. A version of the format that needs more has earned a new version byte.
pub(super) const EXTENSIONS: usize = 16;
/// Longest extension, bytes: optional fields, not another payload.
pub(super) const EXTENSION_BYTES: usize = 4096;

/// Skips extensions: this version knows none.
pub(super) fn skip(cursor: &mut Cursor) -> Result<(), DecodeError> {
    let mut before = None;
    for _ in 0..cursor.count("extensions", EXTENSIONS)? {
        let tag: u64 = cursor.take("extension tag")?;
        if before.is_some_and(|before| before >= tag) {
            return Err(DecodeError::Invalid {
                field: "extension tag",
                expected: "ascending tags",
            });
        }
        before = Some(tag);
        let length = cursor.count("extension", EXTENSION_BYTES)?;
        cursor.bytes("extension", length)?;
    }
    Ok(())
}
