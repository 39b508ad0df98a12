//! How many ranges and rejections an answer may carry, in both forms.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small made-up numbers"
)]

mod sample;

use apollo_wire::{Rejection, SequenceRange, Verdicts, binary, json, limits};
use sample::verdicts_with_rejections;

fn with(ranges: u64, rejections: u64) -> Verdicts {
    let sample = verdicts_with_rejections();
    let rejection = |seq| Rejection {
        // Apart from the ranges, which are the even numbers.
        seq: 2 * seq + 1,
        message: String::new(),
        ..sample.rejected[0].clone()
    };
    Verdicts {
        acked: (0..ranges).map(|n| SequenceRange::from((2 * n, 2 * n))).collect(),
        rejected: (0..rejections).map(rejection).collect(),
        highest_sequence: 4 * limits::OBSERVATIONS as u64,
        ..sample
    }
}

#[test]
fn ranges_and_rejections_are_taken_at_the_limit_and_not_one_past() {
    let max = limits::OBSERVATIONS as u64;
    for (verdicts, taken) in [
        (with(max, 1), true),
        (with(max + 1, 1), false),
        (with(1, max), true),
        (with(1, max + 1), false),
    ] {
        let counts = (verdicts.acked.len(), verdicts.rejected.len());
        let decoded = binary::decode_verdicts(&binary::encode_verdicts(&verdicts));
        assert_eq!(decoded.is_ok(), taken, "binary, {counts:?}: {:?}", decoded.err());
        let decoded = json::decode_verdicts(&json::encode_verdicts(&verdicts));
        assert_eq!(decoded.is_ok(), taken, "JSON, {counts:?}: {:?}", decoded.err());
    }
}
