//! Verdicts and desired documents, as a device receives them in both forms.

use apollo_wire::{DesiredState, Verdicts, binary, json, limits};

use crate::memory::{BASE_BYTES, bounded};

/// What decoding a frame may hold: what it unpacks to, and that taken apart.
const FRAME_BYTES_MAX: usize = 4 * limits::FRAME_DECODED_BYTES;
/// What decoding JSON may hold for each byte of it.
const JSON_FACTOR: usize = 64;

/// A verdicts frame.
pub fn verdicts_binary(bytes: &[u8]) {
    match bounded(FRAME_BYTES_MAX, || binary::decode_verdicts(bytes)) {
        Ok(verdicts) => check_verdicts(&verdicts),
        Err(error) => assert!(!error.field().is_empty() && error.to_string().contains(error.field())),
    }
}

/// Verdicts as JSON.
pub fn verdicts_json(bytes: &[u8]) {
    match bounded(BASE_BYTES + JSON_FACTOR * bytes.len(), || {
        json::decode_verdicts(bytes)
    }) {
        Ok(mut verdicts) => {
            assert!(is_object(bytes), "verdicts are an object");
            // Only the binary form has a bound for explanations, and cuts them.
            for rejection in &mut verdicts.rejected {
                let end = rejection
                    .message
                    .floor_char_boundary(binary::REJECTION_MESSAGE_BYTES);
                rejection.message.truncate(end);
            }
            check_verdicts(&verdicts);
        }
        Err(error) => assert!(!error.field().is_empty() && error.to_string().contains(error.field())),
    }
}

/// A desired document's frame.
pub fn desired_binary(bytes: &[u8]) {
    match bounded(FRAME_BYTES_MAX, || binary::decode_desired(bytes)) {
        Ok(desired) => check_desired(&desired),
        Err(error) => assert!(!error.field().is_empty() && error.to_string().contains(error.field())),
    }
}

/// A desired document as JSON.
pub fn desired_json(bytes: &[u8]) {
    match bounded(BASE_BYTES + JSON_FACTOR * bytes.len(), || {
        json::decode_desired(bytes)
    }) {
        Ok(desired) => {
            assert!(is_object(bytes), "a desired document is an object");
            check_desired(&desired);
        }
        Err(error) => assert!(!error.field().is_empty() && error.to_string().contains(error.field())),
    }
}

/// Whether JSON text is an object, which alone has names for what it holds.
pub(crate) fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}

/// What is true of all verdicts that a decoder took.
pub(crate) fn check_verdicts(verdicts: &Verdicts) {
    assert!(verdicts.highest_sequence <= limits::SEQUENCE_MAX);
    assert!(verdicts.acked.len() <= limits::OBSERVATIONS);
    assert!(verdicts.rejected.len() <= limits::OBSERVATIONS);
    let mut after = None;
    for range in &verdicts.acked {
        assert!(
            range.first <= range.last && range.last <= limits::SEQUENCE_MAX,
            "{range:?}"
        );
        assert!(
            after.is_none_or(|after| after < range.first),
            "sorted and disjoint"
        );
        after = Some(range.last);
    }
    for rejection in &verdicts.rejected {
        assert!(rejection.seq <= limits::SEQUENCE_MAX, "{rejection:?}");
    }
    let frame = binary::encode_verdicts(verdicts);
    let again = binary::decode_verdicts(&frame).expect("encoded verdicts are a frame");
    assert_eq!(&again, verdicts, "binary form");
    assert_eq!(
        binary::encode_verdicts(&again),
        frame,
        "one set of verdicts, one frame"
    );
    let again = json::decode_verdicts(&json::encode_verdicts(verdicts)).expect("encoded verdicts are JSON");
    assert_eq!(&again, verdicts, "JSON form");
}

/// What is true of every desired document that a decoder took.
pub(crate) fn check_desired(desired: &DesiredState) {
    assert!(desired.processes.len() <= limits::DESIRED_PROCESSES);
    for process in &desired.processes {
        process.process().expect("checked names");
        assert!(process.spec.get().len() <= limits::SPEC_BYTES);
    }
    let frame = binary::encode_desired(desired);
    let again = binary::decode_desired(&frame).expect("an encoded document is a frame");
    assert_eq!(&again, desired, "binary form");
    assert_eq!(binary::encode_desired(&again), frame, "one document, one frame");
    let again = json::decode_desired(&json::encode_desired(desired)).expect("an encoded document is JSON");
    assert_eq!(&again, desired, "JSON form");
}
