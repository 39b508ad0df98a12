//! What is encoded comes back, in both forms, over the whole range of values; and each message has one encoding.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "small made-up numbers"
)]

mod sample;

use apollo_wire::{Value, binary, json, limits};
use proptest::prelude::*;
use sample::*;

proptest! {
    #[test]
    fn reports(report in any_report()) {
        let frame = binary::encode_report(&report);
        let decoded = binary::decode_report(&frame).unwrap();
        prop_assert_eq!(&decoded, &report);
        prop_assert_eq!(binary::encode_report(&decoded), frame);
        prop_assert_eq!(&json::decode_report(&json::encode_report(&report)).unwrap(), &report);
    }

    #[test]
    fn verdicts(verdicts in any_verdicts()) {
        let frame = binary::encode_verdicts(&verdicts);
        let decoded = binary::decode_verdicts(&frame).unwrap();
        prop_assert_eq!(&decoded, &verdicts);
        prop_assert_eq!(binary::encode_verdicts(&decoded), frame);
        prop_assert_eq!(&json::decode_verdicts(&json::encode_verdicts(&verdicts)).unwrap(), &verdicts);
    }

    #[test]
    fn desired_documents(desired in any_desired()) {
        let frame = binary::encode_desired(&desired);
        let decoded = binary::decode_desired(&frame).unwrap();
        prop_assert_eq!(&decoded, &desired);
        prop_assert_eq!(binary::encode_desired(&decoded), frame);
        prop_assert_eq!(&json::decode_desired(&json::encode_desired(&desired)).unwrap(), &desired);
    }
}

/// More measurements than rows and names together: what bounds them is their product.
#[test]
fn a_full_report_of_rows_with_values_comes_back() {
    let mut report = empty();
    for seq in 0..limits::OBSERVATIONS as u64 {
        let mut row = started(seq);
        for name in ["height", "period"] {
            row.values
                .insert(name.to_owned(), Value::new(seq as f64).unwrap());
        }
        report.observations.push(row);
    }
    assert_eq!(binary::decode_report(&binary::encode_report(&report)), Ok(report));
}

#[test]
fn texts_too_long_for_the_text_model_are_compressed() {
    let mut report = empty();
    for seq in 0..400 {
        let mut row = started(seq);
        let words =
            ["gale", "buoy", "salt", "fog", "keel", "tide"].map(|word| word.repeat(1 + seq as usize % 5));
        row.message = (0..20)
            .map(|place| words[(seq as usize * 31 + place * place) % 6].as_str())
            .collect();
        report.observations.push(row);
    }
    let text: usize = report.observations.iter().map(|row| row.message.len()).sum();
    assert!(text > 16 * 1024);
    let frame = binary::encode_report(&report);
    assert!(frame.len() < text / 2, "{} bytes for {text}", frame.len());
    assert_eq!(binary::decode_report(&frame).unwrap(), report);

    let mut desired = desired();
    let long: Vec<String> = (0..3000).map(|number| format!("--option-{number}")).collect();
    desired.processes[0].spec = serde_json::value::to_raw_value(&serde_json::json!({"args": long})).unwrap();
    let frame = binary::encode_desired(&desired);
    assert_eq!(binary::decode_desired(&frame).unwrap(), desired);
}

#[test]
fn many_rejections_are_compressed() {
    let mut verdicts = verdicts_with_rejections();
    let one = verdicts.rejected[0].clone();
    verdicts.rejected = (0..200)
        .map(|seq| apollo_wire::Rejection { seq, ..one.clone() })
        .collect();
    let frame = binary::encode_verdicts(&verdicts);
    assert!(frame.len() < 300, "{}", frame.len());
    assert_eq!(binary::decode_verdicts(&frame).unwrap(), verdicts);
}

#[test]
fn small_frames_are_small() {
    assert_eq!(binary::encode_report(&empty()).len(), 24);
    let mut one = empty();
    one.observations = vec![started(17)];
    let bytes = binary::encode_report(&one).len();
    assert!(bytes <= 60, "{bytes}");
    let bytes = binary::encode_verdicts(&verdicts_of_one_range()).len();
    assert!(bytes <= 16, "{bytes}");
}

#[test]
fn times_in_whole_seconds_cost_less() {
    let bytes = |milliseconds: fn(i64) -> i64| {
        let mut report = empty();
        report.observations = (1..=200).map(bare).collect();
        for (row, observation) in (0..).zip(&mut report.observations) {
            let at_ms = row * row * 1000 + milliseconds(row);
            observation.observed_at = time("2026-11-23T00:00:00.000Z").plus(at_ms);
        }
        let frame = binary::encode_report(&report);
        assert_eq!(binary::decode_report(&frame).unwrap(), report);
        frame.len()
    };
    let (whole, broken) = (bytes(|_| 0), bytes(|row| row * 37 % 1000));
    assert!(whole + 200 < broken, "{whole} bytes against {broken}");
}
