//! Reports, as a gateway receives them in both forms.

use apollo_wire::{Report, binary, json, limits};

use crate::memory::{BASE_BYTES, bounded};

/// What decoding a frame may hold: what it unpacks to three times over (packed texts, tables, observations), its columns
/// and measurements, and the tables of the coder. Far above what a frame of ordinary size needs.
const FRAME_BYTES_MAX: usize = 8 * limits::FRAME_DECODED_BYTES;

/// What decoding JSON may hold for each byte of it: the shortest useless observation, `{"seq":1}`, costs its place in two
/// lists and an explanation.
const JSON_FACTOR: usize = 64;

/// Longest explanation of one refused observation, bytes: a gateway sends it back, and cuts it there.
const EXPLANATION_BYTES_MAX: usize = binary::REJECTION_MESSAGE_BYTES;

/// A report frame.
pub fn report_binary(bytes: &[u8]) {
    match bounded(FRAME_BYTES_MAX, || binary::decode_report(bytes)) {
        Ok(report) => check_taken(report),
        Err(error) => assert!(!error.field().is_empty() && error.to_string().contains(error.field())),
    }
}

/// A report as JSON.
pub fn report_json(bytes: &[u8]) {
    match bounded(BASE_BYTES + JSON_FACTOR * bytes.len(), || {
        json::decode_report(bytes)
    }) {
        Ok(report) => check_taken(report),
        Err(error) => assert!(!error.field().is_empty() && error.to_string().contains(error.field())),
    }
}

/// What is true of every report that a decoder took: it keeps the limits, and both forms of it say the same.
pub(crate) fn check_taken(mut report: Report) {
    let rows = report.observations.len() + report.malformed.len();
    assert!(rows <= limits::OBSERVATIONS, "{rows} observations");
    assert!(report.gaps.len() <= limits::GAPS, "{} gaps", report.gaps.len());
    for gap in &report.gaps {
        assert!(
            gap.first <= gap.last && gap.last <= limits::SEQUENCE_MAX,
            "{gap:?}"
        );
    }
    for observation in &report.observations {
        assert_eq!(observation.check(), Ok(()), "{observation:?}");
    }
    for malformed in &report.malformed {
        assert!(!malformed.message.is_empty(), "a refusal says why");
        assert!(
            malformed.message.len() <= EXPLANATION_BYTES_MAX,
            "{}",
            malformed.message
        );
    }
    assert!(
        report
            .offered_through
            .is_none_or(|through| through <= limits::SEQUENCE_MAX)
    );
    let version = report.agent_version.as_ref();
    assert!(version.is_none_or(|version| version.len() <= limits::AGENT_VERSION_BYTES));

    // What was refused is told to its sender and is not part of what is passed on.
    report.malformed.clear();
    let frame = binary::encode_report(&report);
    let again = binary::decode_report(&frame).expect("an encoded report is a frame");
    assert_eq!(again, report, "binary form");
    assert_eq!(binary::encode_report(&again), frame, "one report, one frame");
    let text = json::encode_report(&report);
    let again = json::decode_report(&text).expect("an encoded report is JSON");
    assert_eq!(again, report, "JSON form");
}
