//! Numbers of `values`: mostly short decimals, which are far smaller as an integer and a power of ten.

/// Largest power of ten tried. Sensors and percentages have a few decimals; 10^15 is exact as a double.
const SCALES: u32 = 15;
/// Integers below 2^53 are exact as doubles.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// The scale that means: the 64 bits of the double itself.
pub(super) const BITS: u32 = SCALES + 1;

/// A finite double, as `digits / 10^scale`, or as its bits with scale [`BITS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Measurement {
    pub scale: u32,
    pub digits: i64,
}

impl Measurement {
    /// The smallest scale that gives the number back exactly.
    #[expect(clippy::cast_possible_truncation, reason = "rounded and within 53 bits")]
    #[expect(
        clippy::cast_possible_wrap,
        reason = "the bits of a double, whatever they say as a number"
    )]
    pub(super) fn of(number: f64) -> Self {
        (0..BITS)
            .filter_map(|scale| {
                let digits = (number * power(scale)).round();
                (digits.abs() < EXACT).then_some(Self {
                    scale,
                    digits: digits as i64,
                })
            })
            .find(|candidate| candidate.number().to_bits() == number.to_bits())
            .unwrap_or(Self {
                scale: BITS,
                digits: number.to_bits() as i64,
            })
    }

    /// The number. Both integers are exact, so that IEEE 754 division gives the double nearest to the decimal.
    #[expect(
        clippy::cast_precision_loss,
        reason = "encoders only write exact integers; others read as the nearest"
    )]
    #[expect(
        clippy::cast_sign_loss,
        reason = "the bits of a double, whatever they say as a number"
    )]
    pub(super) fn number(self) -> f64 {
        if self.scale >= BITS {
            f64::from_bits(self.digits as u64)
        } else {
            self.digits as f64 / power(self.scale)
        }
    }
}

fn power(scale: u32) -> f64 {
    (0..scale).fold(1.0, |power, _| power * 10.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_become_small_integers() {
        for (number, scale, digits) in [
            (0.0, 0, 0),
            (5321.0, 0, 5321),
            (-2.1, 1, -21),
            (0.001, 3, 1),
            (1e15, 0, 1_000_000_000_000_000),
        ] {
            assert_eq!(Measurement::of(number), Measurement { scale, digits }, "{number}");
        }
        assert_eq!(Measurement::of(1e300).scale, BITS);
        // From 2^53 on doubles leave out whole numbers.
        assert_eq!(
            (Measurement::of(EXACT - 1.0).scale, Measurement::of(EXACT).scale),
            (0, BITS)
        );
        assert_eq!(
            Measurement::of(std::f64::consts::PI).number(),
            std::f64::consts::PI
        );
    }

    proptest! {
        #[test]
        fn every_finite_number_comes_back(bits in any::<u64>(), whole in -1_000_000i32..1_000_000, scale in 0..9u32) {
            for number in [f64::from_bits(bits), f64::from(whole) / power(scale)] {
                if number.is_finite() {
                    prop_assert_eq!(Measurement::of(number).number().to_bits(), number.to_bits());
                }
            }
        }
    }
}
