//! The plain parts of a frame: postcard's primitives, read one by one so that an error can name the field.
//!
//! Numbers are postcard's varints (LEB128, zigzagged where signed), texts and bytes are a length and the bytes.

use serde::{Deserialize, Serialize};

use super::{DecodeError, VERSION};
use crate::UnixMillis;

/// Reads the plain parts of a frame.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Begins after the version byte.
    pub(super) fn new(frame: &'a [u8]) -> Result<Self, DecodeError> {
        match frame.split_first() {
            Some((&VERSION, rest)) => Ok(Self { rest }),
            Some((&other, _)) => Err(DecodeError::Version(other)),
            None => Err(DecodeError::Truncated { field: "version" }),
        }
    }

    /// Over bytes that were inside a frame.
    pub(super) fn inside(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// Reads one postcard value. A number written longer than it needs is refused: one value, one encoding.
    pub(super) fn take<T: Deserialize<'a> + Serialize>(
        &mut self,
        field: &'static str,
    ) -> Result<T, DecodeError> {
        let before = self.rest;
        let (value, rest) = postcard::take_from_bytes::<T>(before).map_err(|error| match error {
            postcard::Error::DeserializeUnexpectedEnd => DecodeError::Truncated { field },
            _ => DecodeError::Invalid {
                field,
                expected: "a postcard value of its type",
            },
        })?;
        let shortest = postcard::experimental::serialized_size(&value).unwrap_or(0);
        if before.len() - rest.len() != shortest {
            return Err(DecodeError::Invalid {
                field,
                expected: "the shortest form of its number",
            });
        }
        self.rest = rest;
        Ok(value)
    }

    /// Reads a number of at most `max`, before anything is allocated for it.
    pub(super) fn count(&mut self, field: &'static str, max: usize) -> Result<usize, DecodeError> {
        let found: u64 = self.take(field)?;
        match usize::try_from(found) {
            Ok(count) if count <= max => Ok(count),
            _ => Err(DecodeError::OverLimit {
                field,
                found,
                max: max as u64,
            }),
        }
    }

    /// Reads `count` bytes.
    pub(super) fn bytes(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeError::Truncated { field })?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Reads a text of at most `max` bytes.
    pub(super) fn text(&mut self, field: &'static str, max: usize) -> Result<&'a str, DecodeError> {
        let length = self.count(field, max)?;
        std::str::from_utf8(self.bytes(field, length)?).map_err(|_| DecodeError::Invalid {
            field,
            expected: "UTF-8",
        })
    }

    /// Reads a time.
    pub(super) fn time(&mut self, field: &'static str) -> Result<UnixMillis, DecodeError> {
        UnixMillis::new(self.take(field)?).map_err(|_| DecodeError::Invalid {
            field,
            expected: "a time in the years 0 to 9999",
        })
    }

    /// Everything that is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Checks that nothing is left after `field`.
    pub(super) fn finish(self, field: &'static str) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::Trailing { field, bytes }),
        }
    }
}

/// Appends one postcard value.
pub(super) fn put<T: Serialize>(frame: Vec<u8>, value: &T) -> Vec<u8> {
    // Appending to a vector cannot fail, and integers, byte arrays and texts all have a postcard form.
    #[expect(clippy::expect_used, reason = "cannot fail: see above")]
    postcard::to_extend(value, frame).expect("postcard writes numbers and texts to a vector")
}

/// A signed distance that cannot overflow: wrapped, as both sides do.
pub(super) fn distance(from: u64, to: u64) -> i64 {
    to.wrapping_sub(from).cast_signed()
}
