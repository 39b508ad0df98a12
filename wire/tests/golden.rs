//! The frozen bytes of format version 1: `fixtures/wire/v1`. Both forms of each message, compared both ways.
//!
//! With `APOLLO_WRITE_FIXTURES=1` missing files are written; a file that exists is never changed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small made-up numbers"
)]

mod sample;

use std::{fs, path::PathBuf};

use apollo_wire::{Report, binary, json};
use sample::*;

/// The path of a fixture, written first if it is missing and that is asked for.
fn fixture(name: &str, bytes: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures/wire/v1")
        .join(name);
    if !path.exists() && std::env::var_os("APOLLO_WRITE_FIXTURES").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn check_report(name: &str, report: &Report) {
    let (frame, text) = (binary::encode_report(report), json::encode_report(report));
    assert_eq!(fixture(&format!("{name}.bin"), &frame), frame, "{name}.bin");
    assert_eq!(fixture(&format!("{name}.json"), &text), text, "{name}.json");
    assert_eq!(
        &binary::decode_report(&fixture(&format!("{name}.bin"), &[])).unwrap(),
        report
    );
    assert_eq!(
        &json::decode_report(&fixture(&format!("{name}.json"), &[])).unwrap(),
        report
    );
}

#[test]
fn reports() {
    check_report("report-empty", &empty());
    let mut one = empty();
    one.observations = vec![started(17)];
    check_report("report-one", &one);
    check_report("report-full", &full());
    check_report("report-batch", &batch());
    check_report("report-telemetry", &telemetry());
}

#[test]
fn verdicts() {
    for (name, verdicts) in [
        ("verdicts-one-range", verdicts_of_one_range()),
        ("verdicts-rejections", verdicts_with_rejections()),
    ] {
        let (frame, text) = (
            binary::encode_verdicts(&verdicts),
            json::encode_verdicts(&verdicts),
        );
        assert_eq!(fixture(&format!("{name}.bin"), &frame), frame, "{name}.bin");
        assert_eq!(fixture(&format!("{name}.json"), &text), text, "{name}.json");
        assert_eq!(
            binary::decode_verdicts(&fixture(&format!("{name}.bin"), &[])).unwrap(),
            verdicts
        );
        assert_eq!(
            json::decode_verdicts(&fixture(&format!("{name}.json"), &[])).unwrap(),
            verdicts
        );
    }
}

#[test]
fn desired_documents() {
    let desired = desired();
    let (frame, text) = (binary::encode_desired(&desired), json::encode_desired(&desired));
    assert_eq!(fixture("desired.bin", &frame), frame);
    assert_eq!(fixture("desired.json", &text), text);
    assert_eq!(
        binary::decode_desired(&fixture("desired.bin", &[])).unwrap(),
        desired
    );
    assert_eq!(
        json::decode_desired(&fixture("desired.json", &[])).unwrap(),
        desired
    );
}
