//! Every limit of a binary frame, at the limit and one past it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small made-up numbers"
)]

mod sample;

use apollo_wire::{
    DesiredState, Gap, GapReason, Malformed, Observation, Report, Value, Verdicts,
    binary::{self, DecodeError},
    limits,
};
use sample::*;

fn decode(report: &Report) -> Result<Report, DecodeError> {
    binary::decode_report(&binary::encode_report(report))
}

/// What a report of a sound row, `row` and another sound row decodes to: the number of sound rows, and the refusal.
fn between_sound_rows(row: Observation) -> (usize, Vec<Malformed>) {
    let mut report = empty();
    report.observations = vec![started(1), Observation { seq: 2, ..row }, started(3)];
    let decoded = decode(&report).unwrap();
    (decoded.observations.len(), decoded.malformed)
}

fn assert_refused_alone(row: Observation, field: &str) {
    let (sound, malformed) = between_sound_rows(row);
    assert_eq!((sound, malformed.len()), (2, 1), "{field}");
    assert_eq!(malformed[0].seq, 2);
    assert!(
        malformed[0].message.contains(field),
        "{} names {field}",
        malformed[0].message
    );
}

fn assert_accepted(row: Observation) {
    assert_eq!(between_sound_rows(row), (3, vec![]));
}

#[test]
fn texts_of_a_row() {
    for (at, past) in [("a", "a"), ("7", "7"), ("7 ", "7 ")] {
        let mut row = started(2);
        row.message = at.repeat(limits::MESSAGE_BYTES / at.len());
        assert_accepted(row.clone());
        row.message.push_str(past);
        assert_refused_alone(row, "message");
    }
    let mut row = started(2);
    row.reason = "R".repeat(limits::REASON_BYTES);
    assert_accepted(row.clone());
    row.reason.push('R');
    assert_refused_alone(row, "reason");
}

#[test]
fn values_of_a_row() {
    let named = |names: usize, length: usize| {
        let mut row = started(2);
        row.values = (0..names)
            .map(|n| (format!("{n:0length$}"), Value::new(n as f64).unwrap()))
            .collect();
        row
    };
    assert_accepted(named(limits::VALUES, 2));
    assert_refused_alone(named(limits::VALUES + 1, 2), "values");
    assert_accepted(named(1, limits::VALUE_NAME_BYTES));
    assert_refused_alone(named(1, limits::VALUE_NAME_BYTES + 1), "values");
    assert!(matches!(
        decode(&Report {
            observations: vec![named(256, 3)],
            ..empty()
        }),
        Err(DecodeError::OverLimit { .. })
    ));
}

#[test]
fn sequences() {
    let mut report = Report {
        observations: vec![started(limits::SEQUENCE_MAX)],
        ..empty()
    };
    assert_eq!(decode(&report).unwrap(), report);
    report.observations[0].seq += 1;
    assert_eq!(decode(&report).unwrap_err().field(), "observations.seq");
    report = Report {
        offered_through: Some(limits::SEQUENCE_MAX),
        ..empty()
    };
    assert_eq!(decode(&report).unwrap(), report);
    report.offered_through = Some(limits::SEQUENCE_MAX + 1);
    assert_eq!(decode(&report).unwrap_err().field(), "offeredThrough");
}

#[test]
fn observations_and_gaps_of_a_report() {
    let mut report = empty();
    report.observations = (0..limits::OBSERVATIONS as u64).map(bare).collect();
    assert_eq!(decode(&report).unwrap().observations.len(), limits::OBSERVATIONS);
    report.observations.push(bare(99_999));
    assert!(matches!(
        decode(&report),
        Err(DecodeError::OverLimit {
            field: "observations",
            found: 10_001,
            ..
        })
    ));

    let gap = |n: u64| Gap {
        first: 10 * n,
        last: 10 * n + 3,
        reason: GapReason::QueueFull,
    };
    let mut report = Report {
        gaps: (0..limits::GAPS as u64).map(gap).collect(),
        ..empty()
    };
    assert_eq!(decode(&report).unwrap(), report);
    report.gaps.push(gap(100_000));
    assert!(matches!(
        decode(&report),
        Err(DecodeError::OverLimit { field: "gaps", .. })
    ));
    let backwards = Gap {
        first: 9,
        last: 3,
        reason: GapReason::QueueFull,
    };
    assert_eq!(
        decode(&Report {
            gaps: vec![backwards],
            ..empty()
        })
        .unwrap_err()
        .field(),
        "gaps"
    );
}

#[test]
fn the_agents_version() {
    let mut report = Report {
        agent_version: Some("v".repeat(limits::AGENT_VERSION_BYTES)),
        ..empty()
    };
    assert_eq!(decode(&report).unwrap(), report);
    report.agent_version = Some("v".repeat(limits::AGENT_VERSION_BYTES + 1));
    assert!(matches!(
        decode(&report),
        Err(DecodeError::OverLimit {
            field: "agentVersion",
            found: 65,
            max: 64
        })
    ));
}

#[test]
fn verdicts() {
    let decode = |verdicts: &Verdicts| binary::decode_verdicts(&binary::encode_verdicts(verdicts));
    let mut verdicts = verdicts_with_rejections();
    verdicts.rejected[0].message = "ö".repeat(binary::REJECTION_MESSAGE_BYTES / 2);
    assert_eq!(decode(&verdicts).unwrap(), verdicts);
    let whole = verdicts.clone();
    verdicts.rejected[0].message.push('ö');
    assert_eq!(decode(&verdicts).unwrap(), whole, "cut, not refused");
    for spoiled in [(17, 10), (9, 17)] {
        let mut verdicts = verdicts_with_rejections();
        verdicts.acked[1] = spoiled.into();
        if spoiled.0 == 9 {
            verdicts.acked[0].last = 9;
        }
        assert_eq!(decode(&verdicts).unwrap_err().field(), "acked");
    }
}

#[test]
fn desired_documents() {
    let decode = |desired: &DesiredState| binary::decode_desired(&binary::encode_desired(desired));
    let mut desired = desired();
    let spec = |bytes: usize| serde_json::value::to_raw_value(&"s".repeat(bytes - 2)).unwrap();
    desired.processes[0].spec = spec(limits::SPEC_BYTES);
    assert_eq!(decode(&desired).unwrap(), desired);
    desired.processes[0].spec = spec(limits::SPEC_BYTES + 1);
    assert_eq!(decode(&desired).unwrap_err().field(), "processes.spec");
    let one = smallest();
    desired.processes = vec![one.clone(); limits::DESIRED_PROCESSES];
    assert_eq!(decode(&desired).unwrap(), desired);
    desired.processes.push(one);
    assert!(matches!(
        decode(&desired),
        Err(DecodeError::OverLimit {
            field: "processes",
            ..
        })
    ));
    desired.processes = vec![desired.processes[0].clone(); 400];
    for process in &mut desired.processes {
        process.spec = spec(limits::SPEC_BYTES);
    }
    assert!(decode(&desired).unwrap_err().is_too_large());
}

fn smallest() -> apollo_wire::DesiredProcess {
    apollo_wire::DesiredProcess {
        spec: serde_json::value::to_raw_value(&1).unwrap(),
        ..desired().processes.remove(0)
    }
}

#[test]
fn texts_are_modelled_up_to_16_kib_and_compressed_beyond() {
    const MODELLED_BYTES: usize = 16 * 1024;
    const PACKED_TEXTS: u8 = 1 << 6;
    for (text_bytes, packed) in [(MODELLED_BYTES, 0), (MODELLED_BYTES + 1, PACKED_TEXTS)] {
        let mut row = bare(1);
        row.message = "a".repeat(text_bytes - row.process.to_string().len());
        let mut report = empty();
        report.observations = vec![row, bare(2)];
        let frame = binary::encode_report(&report);
        assert_eq!(frame[23] & PACKED_TEXTS, packed, "{text_bytes}");
        let decoded = binary::decode_report(&frame).unwrap();
        assert_eq!((decoded.observations.len(), decoded.malformed.len()), (1, 1));
    }
    // A document with nothing but a spec has 27 bytes beside it.
    for (document_bytes, packed) in [(MODELLED_BYTES, 0), (MODELLED_BYTES + 1, 1)] {
        let spec = format!("\"{}\"", "a".repeat(document_bytes - 27 - 2));
        let desired = DesiredState {
            device: "buoy".parse().unwrap(),
            processes: vec![apollo_wire::DesiredProcess {
                namespace: "default".to_owned(),
                name: "p".to_owned(),
                generation: 1,
                spec_hash: "9f86d081884c7d65".parse().unwrap(),
                spec: serde_json::value::RawValue::from_string(spec).unwrap(),
            }],
        };
        let frame = binary::encode_desired(&desired);
        assert_eq!(frame[1], packed, "{document_bytes}");
        assert_eq!(binary::decode_desired(&frame).unwrap(), desired);
    }
}

#[test]
fn a_text_past_any_limit_spoils_its_row_and_past_64_kib_its_frame() {
    let mut row = started(2);
    row.message = "a".repeat(binary::TEXT_BYTES);
    assert_refused_alone(row.clone(), "message");
    row.message.push('a');
    let report = Report {
        observations: vec![row],
        ..empty()
    };
    let refused = decode(&report).unwrap_err();
    assert!(
        matches!(refused, DecodeError::OverLimit { found, .. } if found == 65_537),
        "{refused}"
    );
}

#[test]
fn numbers_of_up_to_18_digits_keep_their_leading_zeros() {
    for digits in 1..=20 {
        let mut row = bare(1);
        row.message = format!("{:0>digits$} left", 7);
        let mut report = empty();
        report.observations = vec![row];
        assert_eq!(decode(&report).unwrap(), report, "{digits} digits");
    }
}
