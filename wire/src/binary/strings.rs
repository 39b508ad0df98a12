//! Where the bytes of a frame's texts come from and go to: the text model, or beside the coded columns, compressed.

use super::{
    DecodeError,
    model::{Context, Models, SMOOTH},
    range_coder::BitCoder,
    text_model::TextModel,
};
use crate::limits;

/// Most text in one frame that goes through the text model, bytes. The model beats zstd below some tens of kilobytes,
/// but needs about a microsecond a byte: this bounds the time a frame can cost.
pub(super) const MODELLED_BYTES: usize = 16 * 1024;
/// Longest text of any kind in a frame, bytes. Above every limit of the contract, so that one field beyond its limit
/// is refused with its observation and not with the whole frame.
pub const TEXT_BYTES: usize = 64 * 1024;

/// The texts of one frame, in one direction.
#[derive(Debug)]
pub(super) enum Strings {
    /// Coded in place by the text model, at most so many more bytes.
    Modelled(Box<TextModel>, usize),
    /// Compressed beside the columns: only lengths are coded here.
    Collected,
    /// Decompressed; the rest of them.
    Unpacked(std::vec::IntoIter<u8>),
}

impl Strings {
    /// For the text model, in either direction.
    pub(super) fn modelled() -> Self {
        Self::Modelled(Box::new(TextModel::new()), MODELLED_BYTES)
    }

    /// Codes one text: its length, then its bytes.
    pub(super) fn code<C: BitCoder>(
        &mut self,
        coder: &mut C,
        models: &mut Models,
        (context, field): (Context, &'static str),
        text: &mut Vec<u8>,
    ) -> Result<(), C::Error> {
        let length = models.number(coder, context, SMOOTH, text.len() as u64);
        let over = DecodeError::OverLimit {
            field,
            found: length,
            max: TEXT_BYTES as u64,
        };
        coder.check(length <= TEXT_BYTES as u64, over)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        match self {
            Self::Collected => {}
            Self::Modelled(model, left) => {
                let over = DecodeError::Invalid {
                    field,
                    expected: "long texts to be compressed, not modelled",
                };
                coder.check(length <= *left, over)?;
                *left = left.saturating_sub(length);
                text.resize(length, 0);
                model.begin();
                for byte in text {
                    *byte = model.byte(coder, *byte);
                }
            }
            Self::Unpacked(rest) => {
                coder.check(length <= rest.len(), DecodeError::Truncated { field })?;
                text.extend(rest.take(length));
            }
        }
        Ok(())
    }

    /// Checks that no text is left over.
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        match self {
            Self::Unpacked(rest) if rest.len() > 0 => Err(DecodeError::Trailing {
                field: "compressed texts",
                bytes: rest.len(),
            }),
            _ => Ok(()),
        }
    }
}

const _: () = assert!(TEXT_BYTES > limits::MESSAGE_BYTES && TEXT_BYTES > limits::REASON_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacked_texts_must_all_have_been_used() {
        let left = |bytes: Vec<u8>| Strings::Unpacked(bytes.into_iter()).finish();
        assert_eq!(left(vec![]), Ok(()));
        let field = "compressed texts";
        assert_eq!(left(vec![7]), Err(DecodeError::Trailing { field, bytes: 1 }));
        assert_eq!(Strings::modelled().finish(), Ok(()));
    }
}
