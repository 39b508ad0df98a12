//! Models that learn the odds of flags and numbers while they are coded.
//!
//! Nothing about them is sent: both sides start from the same odds and learn from what has been coded so far. Every
//! decision is looked up by its [`Context`]: which column it belongs to and what is already known about its row.

use super::range_coder::{BitCoder, ONE};

/// The odds of one yes-or-no decision, learned. All zero is "even, and nothing seen yet".
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Odds {
    /// Distance from even odds, in 1/65,536.
    offset: i16,
    /// Decisions seen, up to a limit.
    seen: u16,
}

impl Odds {
    /// The odds of true, 32 to 65,504 of 65,536: never so sure that a surprise costs more than 11 bits.
    #[expect(clippy::cast_sign_loss, reason = "an i16 plus 32,768 is not negative")]
    pub(super) fn get(self) -> u32 {
        ((i32::from(self.offset) + 32_768) as u32).clamp(32, ONE - 32)
    }

    /// Whether nothing has been learned yet.
    pub(super) fn is_new(self) -> bool {
        self.seen == 0
    }

    /// Learns from one decision: the mean of what was seen plus half a decision of doubt each way (Krichevsky and
    /// Trofimov), and from `limit` decisions on an exponential mean.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a step towards a 16-bit target stays in 16 bits"
    )]
    pub(super) fn learn(&mut self, bit: bool, limit: u16) {
        let target = if bit {
            i32::from(i16::MAX)
        } else {
            i32::from(i16::MIN)
        };
        let step = (target - i32::from(self.offset)) * 2 / (2 * i32::from(self.seen) + 3);
        self.offset = (i32::from(self.offset) + step) as i16;
        self.seen = (self.seen + 1).min(limit);
    }
}

/// Decisions after which odds only drift: columns are nearly stationary within a frame.
const STEADY: u16 = 255;
/// How many decisions the odds taken over from a wider context count for.
const INHERITED: u16 = 2;
/// Binary logarithm of the number of odds kept. A frame of 1,000 rows touches some thousands; 64 KiB is little for a
/// device, and a collision only costs bits.
const SLOT_BITS: u32 = 14;
/// Bits below a number's leading one whose odds are learned where neighbours are about equally likely. Three follow
/// the slope of a smooth distribution; more would have to be learned anew in every frame.
pub(super) const SMOOTH: u32 = 3;
/// The same for numbers that are names of things, such as table indexes: all bits of the first 128.
pub(super) const NAMES: u32 = 6;

/// What decides the odds: a column, and what is known of the row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    own: u32,
    wider: u32,
}

impl Context {
    /// A column by its number, with nothing else known.
    pub(super) fn column(column: u32) -> Self {
        let own = (column + 1).wrapping_mul(0x9E37_79B1);
        Self { own, wider: own }
    }

    /// The same column where `value` is also known. New odds begin as those of `self`, which learn too.
    #[expect(clippy::cast_possible_truncation, reason = "a hash of an index")]
    pub(super) fn given(self, value: usize) -> Self {
        let mixed = (self.own ^ (value as u32).wrapping_add(1)).wrapping_mul(0x85EB_CA6B);
        Self {
            own: mixed ^ (mixed >> 15),
            wider: self.own,
        }
    }
}

/// All odds of a frame's columns.
#[derive(Debug)]
pub(super) struct Models {
    slots: Vec<Odds>,
}

impl Models {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![Odds::default(); 1 << SLOT_BITS],
        }
    }

    fn slot(&mut self, context: u32, node: u32) -> Option<&mut Odds> {
        let hash = context
            .wrapping_add(node.wrapping_mul(0xC2B2_AE35))
            .wrapping_mul(0x27D4_EB2F);
        self.slots.get_mut((hash >> (u32::BITS - SLOT_BITS)) as usize)
    }

    /// Codes one decision at `node` of a context's tree; `prior` says where odds begin that nothing is known about.
    fn decide<C: BitCoder>(
        &mut self,
        coder: &mut C,
        context: Context,
        node: u32,
        prior: Odds,
        bit: bool,
    ) -> bool {
        let mut wider = self.slot(context.wider, node).map_or(prior, |odds| *odds);
        if wider.is_new() {
            wider = prior;
        }
        let mut own = self.slot(context.own, node).map_or(prior, |odds| *odds);
        if own.is_new() {
            own = Odds {
                seen: wider.seen.min(INHERITED),
                ..wider
            };
        }
        let bit = coder.bit(bit, own.get());
        wider.learn(bit, STEADY);
        own.learn(bit, STEADY);
        if let Some(odds) = self.slot(context.wider, node) {
            *odds = wider;
        }
        if let Some(odds) = self.slot(context.own, node) {
            *odds = own;
        }
        bit
    }

    /// Codes a flag.
    pub(super) fn flag<C: BitCoder>(&mut self, coder: &mut C, context: Context, bit: bool) -> bool {
        self.decide(coder, context, 0, Odds::default(), bit)
    }

    /// Codes a number: its length in bits down a tree, then up to `learned` bits below the leading one down a tree of
    /// that length, then the rest as they are.
    pub(super) fn number<C: BitCoder>(
        &mut self,
        coder: &mut C,
        context: Context,
        learned: u32,
        number: u64,
    ) -> u64 {
        let length = self.tree(
            coder,
            context,
            0,
            7,
            u64::from(u64::BITS - number.leading_zeros()),
        );
        // 65 to 127 can be read, not written; they are read as 64.
        let length = u32::try_from(length).unwrap_or(u64::BITS).min(u64::BITS);
        if length < 2 {
            return u64::from(length);
        }
        let learned = (length - 1).min(learned);
        let plain = length - 1 - learned;
        let high = (number >> plain) & !(u64::MAX << learned);
        let high = self.tree(coder, context, length << 16, learned, high);
        let low = coder.plain_bits(number & !(u64::MAX << plain), plain);
        (((1 << learned) | high) << plain) | low
    }

    /// Codes a number that may be negative: its sign, then the number or its complement.
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap,
        reason = "the sign is coded apart"
    )]
    pub(super) fn signed<C: BitCoder>(&mut self, coder: &mut C, context: Context, number: i64) -> i64 {
        let negative = self.decide(coder, context, 1 << 24, Odds::default(), number < 0);
        let size = self.number(
            coder,
            context,
            SMOOTH,
            if number < 0 { !number } else { number } as u64,
        ) as i64;
        // A size of 2^63 or more can be read, not written; the sign bit is dropped.
        let size = size & i64::MAX;
        if negative { !size } else { size }
    }

    /// Codes the low `bits` bits of `value` down a binary tree.
    fn tree<C: BitCoder>(
        &mut self,
        coder: &mut C,
        context: Context,
        base: u32,
        bits: u32,
        value: u64,
    ) -> u64 {
        let mut node: u32 = 1;
        for shift in (0..bits).rev() {
            // Long numbers are rare: seven to one against each turn towards lengths of 16 and more.
            let prior = if base == 0 && matches!(node, 1 | 2 | 4) {
                LIKELY_SHORT
            } else {
                Odds::default()
            };
            let bit = self.decide(coder, context, base + node, prior, (value >> shift) & 1 == 1);
            node = node << 1 | u32::from(bit);
        }
        u64::from(node - (1 << bits))
    }
}

/// One in eight, after one decision.
const LIKELY_SHORT: Odds = Odds {
    offset: -24_576,
    seen: 1,
};

/// 0, -1, 1, -2, 2 ... as 0, 1, 2, 3, 4 ...
#[expect(clippy::cast_sign_loss, reason = "zigzag is defined on the bits")]
pub(super) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// The inverse of [`zigzag`].
#[expect(clippy::cast_possible_wrap, reason = "zigzag is defined on the bits")]
pub(super) fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}
