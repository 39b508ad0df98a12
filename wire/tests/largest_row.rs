//! The largest row there can be fits into the least body a receiver must take: a sender that halves its batch at
//! each 413 gets through everywhere.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small made-up numbers"
)]

mod sample;

use apollo_wire::{Gap, GapReason, Observation, ProcessRef, QueueDepth, Report, Value, binary, json, limits};
use proptest::{collection, prelude::*};
use sample::{empty, started};

/// Gap records as far apart and as long as a thousand can be below 2^63.
fn longest_gaps() -> Vec<Gap> {
    let step = limits::SEQUENCE_MAX / limits::GAPS as u64;
    let gap = |number: u64| Gap {
        first: number * step,
        last: number * step + step / 2,
        reason: GapReason::Corrupt,
    };
    (0..limits::GAPS as u64).map(gap).collect()
}

/// A row with every field at its bound; `text` gives as many characters of a byte each as it is asked for.
fn largest(mut text: impl FnMut(usize) -> String, numbers: &[f64]) -> Observation {
    let mut row = started(limits::SEQUENCE_MAX);
    let name = format!("{}.{}", "a".repeat(63), "9".repeat(limits::SUBDOMAIN_BYTES - 64));
    row.process = ProcessRef::new(&"n".repeat(limits::LABEL_BYTES), &name).unwrap();
    row.message = text(limits::MESSAGE_BYTES);
    row.reason = text(limits::REASON_BYTES);
    row.pid = Some(u32::MAX);
    row.exit_code = Some(i32::MIN);
    row.restarts = Some(u32::MAX);
    // Two characters tell the names apart, whatever the rest is.
    let entry = |(number, value): (usize, &f64)| {
        let name = format!("{number:02}{}", text(limits::VALUE_NAME_BYTES - 2));
        (name, Value::new(*value).unwrap())
    };
    row.values = numbers.iter().enumerate().map(entry).collect();
    row
}

fn report(row: Observation, gaps: Vec<Gap>) -> Report {
    Report {
        next_contact_seconds: Some(u32::MAX),
        queue: Some(QueueDepth {
            pending: u64::MAX,
            dropped: u64::MAX,
        }),
        offered_through: Some(limits::SEQUENCE_MAX),
        agent_version: Some("v".repeat(limits::AGENT_VERSION_BYTES)),
        gaps,
        observations: vec![row],
        ..empty()
    }
}

fn check(row: &Observation) {
    let frame = binary::encode_report(&report(row.clone(), longest_gaps()));
    assert!(
        frame.len() <= limits::BODY_LIMIT_LEAST_BYTES,
        "{} bytes",
        frame.len()
    );
    assert_eq!(binary::decode_report(&frame).unwrap().malformed, []);
    let text = json::encode_report(&report(row.clone(), Vec::new()));
    assert!(
        text.len() <= limits::BODY_LIMIT_LEAST_BYTES,
        "{} bytes of JSON",
        text.len()
    );
    assert_eq!(json::decode_report(&text).unwrap().malformed, []);
}

proptest! {
    // Each case is 32 KiB of texts and gaps, twice: sixty of them show as much as hundreds.
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Texts without any order, which no model foresees, and numbers of all bits.
    #[test]
    fn the_largest_row_fits_into_the_least_body_limit_in_both_forms(
        bytes in collection::vec(0_u8..128, 8_000),
        numbers in collection::vec(any::<f64>().prop_filter("finite", |number| number.is_finite()), limits::VALUES),
    ) {
        let mut bytes = bytes.into_iter();
        check(&largest(|length| bytes.by_ref().take(length).map(char::from).collect(), &numbers));
    }
}

/// Every character takes six bytes in JSON.
#[test]
fn a_row_of_control_characters_fits_too() {
    check(&largest(
        |length| "\u{1}".repeat(length),
        &[f64::MIN_POSITIVE; limits::VALUES],
    ));
}
