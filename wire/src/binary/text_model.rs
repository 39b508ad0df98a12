//! A small context-mixing model for short texts: names, templates, specs.
//!
//! A general compressor needs kilobytes to get going; the texts of a frame are some hundred bytes. Five models, each
//! looking at the last 0 to 4 bytes, predict every bit, and a mixer learns whom to trust (Mahoney's `paq` design,
//! integers only, so that both sides agree to the bit). All start from having read [`VOCABULARY`].

use std::sync::LazyLock;

use super::{
    model::Odds,
    range_coder::{BitCoder, ONE},
};

/// Words of the contract that frames are likely to hold: reading them first teaches the models lower-case ASCII, the
/// states and the fields of a spec. Part of format version 1: never to change.
pub(super) const VOCABULARY: &[u8] = b"Pending Running Backoff Succeeded Failed Stopped Started Exited Killed \
{\"args\":[\"--config\",\"/etc/\"],\"command\":[\"/usr/bin/\"],\"deviceRef\":{\"name\":\"\"},\
\"env\":[{\"name\":\"\",\"value\":\"\"}],\"restartPolicy\":\"Always\",\"restartPolicy\":\"OnFailure\",\
\"stopGracePeriodSeconds\":10,\"suspend\":false,\"workingDirectory\":\"/var/lib/\"} \
the process exited with code 0, started again in 0.0 s, stopped by signal 0, could not be started: no such file \
default/";

/// Models: orders 0 to 4.
const ORDERS: usize = 5;
/// Binary logarithm of the number of odds for each order: 320 KiB in all. Twice that saves 1 % of a small frame and
/// costs more time than coding it.
const SLOT_BITS: u32 = 14;
/// Decisions after which odds only drift. Text changes more than columns do.
const STEADY: u16 = 60;
/// How fast the mixer learns. There is little time to.
const RATE: i32 = 14;
/// The mixer's weights begin here, in 1/65,536.
const WEIGHT: i32 = 24_000;
/// Weights stay within 16 either way, so that a weight times an input stays within 32 bits.
const WEIGHT_MAX: i32 = 1 << 20;

/// `4096 / (1 + exp(-x / 2))` for x from -16 to 16, rounded.
const LOGISTIC: [i32; 33] = [
    1, 2, 4, 6, 10, 17, 27, 45, 74, 120, 194, 311, 488, 747, 1102, 1546, 2048, 2550, 2994, 3349, 3608, 3785,
    3902, 3976, 4022, 4051, 4069, 4079, 4086, 4090, 4092, 4094, 4095,
];

/// From the logistic domain, -2047 to 2047, to odds of 4,096: [`LOGISTIC`], interpolated.
#[expect(clippy::cast_sign_loss, reason = "cells run from 0 to 31")]
const fn squash(x: i32) -> i32 {
    let x = if x > 2047 {
        2047
    } else if x < -2047 {
        -2047
    } else {
        x
    };
    let (cell, within) = ((x >> 7) + 16, x & 127);
    (LOGISTIC[cell as usize] * (128 - within) + LOGISTIC[cell as usize + 1] * within + 64) >> 7
}

/// The inverse of [`squash`] for each of 4,096 odds: the smallest x that reaches it.
#[expect(clippy::cast_possible_truncation, reason = "-2047 to 2047 fits in 16 bits")]
static STRETCH: [i16; 4096] = {
    let mut table = [2047; 4096];
    let (mut x, mut odds) = (-2047, 0usize);
    while odds < 4096 {
        while x < 2047 && (squash(x).cast_unsigned() as usize) < odds {
            x += 1;
        }
        table[odds] = x as i16;
        odds += 1;
    }
    table
};

/// The model and what it has learned from the text so far.
#[derive(Debug, Clone)]
pub(super) struct TextModel {
    odds: Vec<Odds>,
    /// Weights of the orders, one set for each number of orders that know the context.
    weights: [[i32; ORDERS]; ORDERS + 1],
    /// The last bytes, the newest lowest.
    history: u32,
}

/// A coder for reading known text: it takes any odds and writes nothing.
struct Rehearsal;

impl BitCoder for Rehearsal {
    type Error = std::convert::Infallible;

    fn bit(&mut self, bit: bool, _: u32) -> bool {
        bit
    }

    fn check(&self, _: bool, _: super::DecodeError) -> Result<(), Self::Error> {
        Ok(())
    }
}

impl TextModel {
    /// A model that has read the vocabulary.
    pub(super) fn new() -> Self {
        /// Read once: reading it takes longer than coding a small frame.
        static READER: LazyLock<TextModel> = LazyLock::new(|| {
            let mut model = TextModel {
                odds: vec![Odds::default(); ORDERS << SLOT_BITS],
                weights: [[WEIGHT; ORDERS]; ORDERS + 1],
                history: 0,
            };
            for byte in VOCABULARY {
                model.byte(&mut Rehearsal, *byte);
            }
            model.begin();
            model
        });
        READER.clone()
    }

    /// Begins another text: its first byte is like the first byte after a space.
    pub(super) fn begin(&mut self) {
        self.history = u32::from(b' ');
    }

    /// Codes one byte and learns from it.
    pub(super) fn byte<C: BitCoder>(&mut self, coder: &mut C, byte: u8) -> u8 {
        let contexts: [u32; ORDERS] = [0, 0xff, 0xffff, 0xff_ffff, u32::MAX].map(|known| {
            (self.history & known)
                .wrapping_add(known.count_ones() / 8)
                .wrapping_mul(0x9E37_79B1)
        });
        let mut node: u32 = 1;
        for shift in (0..8).rev() {
            let bit = self.bit(coder, &contexts, node, (byte >> shift) & 1 == 1);
            node = node << 1 | u32::from(bit);
        }
        let [.., byte] = node.to_be_bytes();
        self.history = self.history << 8 | u32::from(byte);
        byte
    }

    fn bit<C: BitCoder>(&mut self, coder: &mut C, contexts: &[u32; ORDERS], node: u32, bit: bool) -> bool {
        let places: [usize; ORDERS] = std::array::from_fn(|order| {
            let hash = contexts[order]
                .wrapping_add(node.wrapping_mul(0xC2B2_AE35))
                .wrapping_mul(0x27D4_EB2F);
            order << SLOT_BITS | (hash >> (u32::BITS - SLOT_BITS)) as usize
        });
        let stretched = places.map(|place| i32::from(STRETCH[(self.odds[place].get() >> 4) as usize]));
        let knowing = places.iter().filter(|place| !self.odds[**place].is_new()).count();
        let weights = &mut self.weights[knowing];
        let sum: i32 = weights
            .iter()
            .zip(&stretched)
            .map(|(weight, input)| (weight * input) >> 8)
            .sum();
        let odds = squash(sum >> 8).clamp(1, 4095);
        let bit = coder.bit(bit, odds.cast_unsigned() * (ONE >> 12));
        let error = ((i32::from(bit) << 12) - odds) * RATE;
        for (weight, input) in weights.iter_mut().zip(&stretched) {
            *weight = (*weight + ((input * error + 0x8000) >> 16)).clamp(-WEIGHT_MAX, WEIGHT_MAX);
        }
        for place in places {
            self.odds[place].learn(bit, STEADY);
        }
        bit
    }
}
