//! Why a frame cannot be read.

use crate::limits;

/// A frame that cannot be read. Nothing of it may be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The first byte is not [`super::VERSION`].
    #[error("version is {0}, expected 1")]
    Version(u8),
    /// The frame ends too early.
    #[error("the frame ends inside {field}")]
    Truncated {
        /// The field that is cut off.
        field: &'static str,
    },
    /// Bytes follow the last field.
    #[error("{bytes} bytes follow {field}, expected none")]
    Trailing {
        /// The last field.
        field: &'static str,
        /// How many follow it.
        bytes: usize,
    },
    /// A field holds something it must not.
    #[error("{field}: expected {expected}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A length or count is over its cap.
    #[error("{field} is {found}, at most {max} is allowed")]
    OverLimit {
        /// The field.
        field: &'static str,
        /// What the frame says.
        found: u64,
        /// The cap.
        max: u64,
    },
    /// The frame unpacks to more than [`limits::FRAME_DECODED_BYTES`].
    #[error("{field} unpacks to more than {max} bytes", max = limits::FRAME_DECODED_BYTES)]
    TooLarge {
        /// What was being unpacked.
        field: &'static str,
    },
}

impl DecodeError {
    /// Whether the frame is too large once unpacked: to be answered 413, not 400.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge { .. })
    }

    /// The offending field, for [`crate::Problem::field`].
    pub fn field(&self) -> &'static str {
        match self {
            Self::Version(_) => "version",
            Self::Truncated { field }
            | Self::Trailing { field, .. }
            | Self::Invalid { field, .. }
            | Self::OverLimit { field, .. }
            | Self::TooLarge { field } => field,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_unpacks_to_too_much_is_too_large() {
        assert!(DecodeError::TooLarge { field: "frame" }.is_too_large());
        assert!(!DecodeError::Truncated { field: "frame" }.is_too_large());
    }
}
