//! Randomness the cores may use: numbers that follow from a seed alone.

use std::time::Duration;

/// A stream of well-mixed numbers from one seed (SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", 2014). It spreads devices apart in time; it is no source of secrets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Jitter {
    state: u64,
}

impl Jitter {
    /// The stream that belongs to `seed`. A driver takes the seed from the operating system, a test picks one.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A duration between zero and `max`, both included, in whole milliseconds.
    pub fn up_to(&mut self, max: Duration) -> Duration {
        let max_ms = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
        // The slight bias of a remainder is far below what spreading retries apart could notice.
        Duration::from_millis(match max_ms.checked_add(1) {
            Some(choices) => self.next() % choices,
            None => self.next(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_stream() {
        let draw = |seed| {
            let mut jitter = Jitter::new(seed);
            [(); 8].map(|()| jitter.up_to(Duration::from_secs(1)))
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn the_stream_is_that_of_splitmix64() {
        // The first numbers of seed 1234567 in implementations of the paper; a slip of the pen mixes worse, unseen.
        let mut jitter = Jitter::new(1_234_567);
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(expected.map(|_| jitter.next()), expected);
    }

    #[test]
    fn the_whole_range_is_used_and_never_left() {
        let mut jitter = Jitter::new(1);
        let drawn: Vec<_> = (0..200).map(|_| jitter.up_to(Duration::from_millis(3))).collect();
        for ms in 0..=3 {
            assert!(drawn.contains(&Duration::from_millis(ms)), "{ms} was never drawn");
        }
        assert!(drawn.iter().all(|drawn| *drawn <= Duration::from_millis(3)));
        assert_eq!(jitter.up_to(Duration::ZERO), Duration::ZERO);
    }
}
