//! The binary frames (`application/vnd.apollo`): few bytes, for links where bytes cost money.
//!
//! Normative description: `docs/wire.md`. The endpoint and the direction say which message a frame is. Every frame
//! begins with [`VERSION`] and goes on with postcard values; the observations of a report follow as columns, coded
//! with learned odds by an arithmetic coder (`columns`, `model`, `range_coder`), which takes a third less than the
//! same columns compressed with zstd. Texts too long for that are compressed with zstd.
//!
//! Decoding is strict and bounded: no trailing bytes, every length is checked against a named limit before anything
//! is allocated for it, and no input makes it panic.

mod batch;
mod columns;
mod columns_messages;
mod columns_order;
mod columns_values;
mod cursor;
mod desired;
mod error;
mod extension;
#[cfg(test)]
mod forged_columns;
mod measurement;
mod model;
mod packed;
mod range_coder;
mod report;
mod rows;
mod strings;
mod template;
mod text_model;
mod verdict;

pub use columns_values::SET_NAMES;
pub use desired::{decode_desired, encode_desired};
pub use error::DecodeError;
pub use report::{decode_report, encode_report};
pub use strings::TEXT_BYTES;
pub use verdict::{REJECTION_MESSAGE_BYTES, decode_verdicts, encode_verdicts};

/// The format version: the first byte of every frame.
pub const VERSION: u8 = 1;
/// The media type of these frames, also assumed where a request names none.
pub const MEDIA_TYPE: &str = "application/vnd.apollo";
