//! A binary arithmetic coder: turns decisions with known odds into as few bits as those odds allow.
//!
//! Carry-less, 32 bits wide, after Mahoney's `paq` coders: the interval `low..=high` is cut in proportion to the odds,
//! and leading bytes that the two ends agree on are final. The same model code drives both directions through
//! [`BitCoder`], so encoder and decoder cannot drift apart.

use std::convert::Infallible;

use super::DecodeError;

/// Probabilities are 16 bits: out of 65,536.
pub(super) const ONE: u32 = 1 << 16;

/// One direction of the coder. The encoder writes the bit it is given; the decoder ignores it and returns the one it
/// reads. Model code calls both alike.
pub(super) trait BitCoder {
    /// [`Infallible`] when encoding.
    type Error;

    /// Codes one decision; `odds` of it being true, 1 to 65,535 out of 65,536.
    fn bit(&mut self, bit: bool, odds: u32) -> bool;

    /// Ends decoding with `error` unless `sound`. Encoders never refuse: what breaks a limit is the receiver's to judge.
    fn check(&self, sound: bool, error: DecodeError) -> Result<(), Self::Error>;

    /// Codes the low `count` bits of `value`, all equally likely, highest first.
    fn plain_bits(&mut self, value: u64, count: u32) -> u64 {
        (0..count).rev().fold(0, |read, shift| {
            (read << 1) | u64::from(self.bit((value >> shift) & 1 == 1, ONE / 2))
        })
    }
}

/// The interval both directions narrow.
#[derive(Debug, Clone, Copy)]
struct Interval {
    low: u32,
    high: u32,
}

impl Interval {
    const FULL: Self = Self {
        low: 0,
        high: u32::MAX,
    };

    /// The last value that means true.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a 32-bit span times 16-bit odds, shifted back by 16 bits"
    )]
    fn split(self, odds: u32) -> u32 {
        let span = u64::from(self.high - self.low);
        self.low + ((span * u64::from(odds)) >> 16) as u32
    }

    fn narrow(&mut self, bit: bool, middle: u32) {
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
    }

    /// Takes out the leading byte if it is settled.
    fn settled(&mut self) -> Option<u8> {
        let [leading, ..] = self.low.to_be_bytes();
        if (self.low ^ self.high) >> 24 != 0 {
            return None;
        }
        self.low <<= 8;
        self.high = (self.high << 8) | 0xff;
        Some(leading)
    }

    /// The shortest bytes that mean this interval whatever follows them, so that no stream is the beginning of another.
    fn ending(self) -> Vec<u8> {
        (0..=4u32)
            .find_map(|count| {
                let free = u32::MAX.checked_shr(8 * count).unwrap_or(0);
                // The first multiple of the step that is not below `low`.
                let start = u64::from(self.low).div_ceil(u64::from(free) + 1) * (u64::from(free) + 1);
                let fits = start + u64::from(free) <= u64::from(self.high);
                let bytes = u32::try_from(start).ok()?.to_be_bytes();
                fits.then(|| bytes.into_iter().take(count as usize).collect())
            })
            .unwrap_or_default()
    }
}

/// Writes decisions.
#[derive(Debug)]
pub(super) struct Encoder {
    interval: Interval,
    bytes: Vec<u8>,
}

impl Encoder {
    /// Appends to `bytes`.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self {
            interval: Interval::FULL,
            bytes,
        }
    }

    /// Everything written, ended.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend(self.interval.ending());
        self.bytes
    }
}

impl BitCoder for Encoder {
    type Error = Infallible;

    fn bit(&mut self, bit: bool, odds: u32) -> bool {
        let middle = self.interval.split(odds);
        self.interval.narrow(bit, middle);
        while let Some(byte) = self.interval.settled() {
            self.bytes.push(byte);
        }
        bit
    }

    fn check(&self, _: bool, _: DecodeError) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Reads decisions. Past the end of its input it reads zeros; [`Decoder::finish`] tells.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    interval: Interval,
    window: u32,
    input: &'a [u8],
    /// Bytes shifted into the window so far, those past the end included.
    read: usize,
}

impl<'a> Decoder<'a> {
    /// Reads from the beginning of `input`.
    pub(super) fn new(input: &'a [u8]) -> Self {
        let mut decoder = Self {
            interval: Interval::FULL,
            window: 0,
            input,
            read: 0,
        };
        for _ in 0..size_of::<u32>() {
            decoder.shift();
        }
        decoder
    }

    fn shift(&mut self) {
        self.window = (self.window << 8) | u32::from(self.input.get(self.read).copied().unwrap_or(0));
        self.read += 1;
    }

    /// Checks that the input ends exactly where an encoder would have ended it.
    pub(super) fn finish(self, field: &'static str) -> Result<(), DecodeError> {
        let ending = self.interval.ending();
        let settled = self.read - size_of::<u32>();
        let rest = self
            .input
            .get(settled..)
            .ok_or(DecodeError::Truncated { field })?;
        match rest.strip_prefix(ending.as_slice()) {
            Some([]) => Ok(()),
            Some(trailing) => Err(DecodeError::Trailing {
                field,
                bytes: trailing.len(),
            }),
            None if rest.len() < ending.len() => Err(DecodeError::Truncated { field }),
            None => Err(DecodeError::Invalid {
                field,
                expected: "the shortest ending of its coded columns",
            }),
        }
    }
}

impl BitCoder for Decoder<'_> {
    type Error = DecodeError;

    fn bit(&mut self, _: bool, odds: u32) -> bool {
        let middle = self.interval.split(odds);
        let bit = self.window <= middle;
        self.interval.narrow(bit, middle);
        while self.interval.settled().is_some() {
            self.shift();
        }
        bit
    }

    fn check(&self, sound: bool, error: DecodeError) -> Result<(), DecodeError> {
        if sound { Ok(()) } else { Err(error) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_end_that_is_cut_is_told_from_one_that_is_longer_than_it_needs() {
        let mut encoder = Encoder::new(Vec::new());
        encoder.bit(true, ONE / 2);
        assert_eq!(encoder.finish(), [0]);
        let end = |input: &[u8]| {
            let mut decoder = Decoder::new(input);
            assert!(decoder.bit(false, ONE / 2));
            decoder.finish("test")
        };
        assert_eq!(end(&[0]), Ok(()));
        assert_eq!(end(&[]), Err(DecodeError::Truncated { field: "test" }));
        // They mean the same decision.
        for other in [&[1][..], &[1, 2]] {
            let refused = end(other);
            assert!(
                matches!(refused, Err(DecodeError::Invalid { field: "test", .. })),
                "{refused:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn decisions_come_back_and_the_end_is_exact(decisions in prop::collection::vec((any::<bool>(), 1..ONE), 0..600)) {
            let mut encoder = Encoder::new(Vec::new());
            for (bit, odds) in &decisions {
                encoder.bit(*bit, *odds);
            }
            let bytes = encoder.finish();
            let read = |input: &[u8]| {
                let mut decoder = Decoder::new(input);
                let bits: Vec<bool> = decisions.iter().map(|(_, odds)| decoder.bit(false, *odds)).collect();
                (bits, decoder.finish("test"))
            };
            let (bits, end) = read(&bytes);
            prop_assert_eq!(end, Ok(()));
            prop_assert!(bits.iter().eq(decisions.iter().map(|(bit, _)| bit)));
            let trailed = [bytes.as_slice(), &[0]].concat();
            prop_assert_eq!(read(&trailed).1, Err(DecodeError::Trailing { field: "test", bytes: 1 }));
            for cut in 0..bytes.len() {
                prop_assert!(read(&bytes[..cut]).1.is_err());
            }
        }
    }
}
