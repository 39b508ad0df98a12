//! `observe --stdin`: lines of programs and people.

use apollo_agent::{
    clock::ClockFacts,
    commands::intake::{self, LINE_BYTES},
    queue::NewObservation,
};
use apollo_wire::{Clock, UnixMillis, json};

use crate::{
    memory::{BASE_BYTES, bounded},
    verdicts_and_desired::is_object,
};

/// What reading a line may hold for each byte of it.
const FACTOR: usize = 64;
/// What the line is read as where it does not say.
const NOW: ClockFacts = ClockFacts {
    now: UnixMillis::MIN,
    uptime_ms: 7,
    clock: Clock::Unsynced,
};

/// Lines of input. What is stored keeps the contract's bounds; an export of it reads back the same; and a gateway that
/// gets the line as it stands understands the same.
pub fn observe_lines(bytes: &[u8]) {
    let (mut input, mut line) = (bytes, Vec::new());
    let mut lines = 0;
    while let Some(read) = intake::read_line(&mut input, &mut line).expect("memory can be read") {
        lines += 1;
        assert!(line.len() <= LINE_BYTES + 1, "a line is kept up to its bound");
        if read.is_err() {
            continue;
        }
        match bounded(BASE_BYTES + FACTOR * line.len(), || intake::parse(&line, &NOW)) {
            Ok(observation) => check_stored(observation, &line),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let expected = bytes.split_inclusive(|byte| *byte == b'\n').count();
    assert_eq!(
        lines, expected,
        "every line is counted, so that numbers in messages are right"
    );
}

fn check_stored(observation: NewObservation, line: &[u8]) {
    assert!(is_object(line), "a line is an object");
    assert_eq!(observation.check(), Ok(()));

    let exported = observation.clone().into_wire(1);
    let text = serde_json::to_vec(&exported).expect("an observation has a JSON form");
    let again = intake::parse(&text, &NOW).expect("an export can be read back in");
    assert_eq!(again.into_wire(1), exported);

    // As an element of a report: refused, if at all, for what the intake mends or fills in.
    let report = [
        br#"{"instance":"0192f7c4-8a11-7d3b-9c5e-426fa0d81733","sentAt":"2026-11-23T10:00:00Z","observations":["#,
        line,
        b"]}",
    ]
    .concat();
    let Ok(report) = json::decode_report(&report) else {
        return;
    };
    for taken in report.observations {
        assert_eq!(
            observation.clone().into_wire(taken.seq),
            taken,
            "both sides read it alike"
        );
    }
    for refused in report.malformed {
        let mended = ["message has ", "process and observedAt are required", "seq "];
        assert!(
            mended.iter().any(|word| refused.message.starts_with(word)),
            "stored here, refused there: {}",
            refused.message
        );
    }
}
