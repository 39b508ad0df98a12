//! Reports made from bytes, so that the coder of the columns is reached past the first bits: encoded, decoded, and
//! decoded again with some bits turned.

use std::collections::BTreeMap;

use apollo_wire::{
    Clock, Gap, GapReason, InstanceId, Observation, ProcessRef, ProcessState, QueueDepth, Report, SpecHash,
    UnixMillis, Value, binary, limits,
};
use arbitrary::{Result, Unstructured};

use crate::reports::{check_taken, report_binary};

/// Names of processes to choose from: a fleet's device has a few.
const PROCESSES: [&str; 4] = ["default/a", "default/collector", "field-7/modem.v2", "x/y"];
/// Messages to choose from, besides free ones: with digits to be taken out of them in every way.
const MESSAGES: [&str; 6] = [
    "",
    "exit code 134 after 07.50 s",
    "try 0161, 18.07 s, 00 left",
    "0",
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34",
    "9999999999999999999 and 18446744073709551616 are too long for one number",
];
/// Most bits turned in one frame.
const TURNED_MAX: usize = 4;

/// Bytes to a report, both forms of it and back; then the frame damaged.
pub fn generated_report(bytes: &[u8]) {
    let mut source = Unstructured::new(bytes);
    let Ok(turned) = turned_bits(&mut source) else {
        return;
    };
    let Ok(report) = report(&mut source) else { return };
    let mut frame = binary::encode_report(&report);
    check_taken(report);
    for (at, bit) in turned {
        let at = usize::from(at) % frame.len();
        frame[at] ^= 1 << (bit % 8);
    }
    report_binary(&frame);
}

fn turned_bits(source: &mut Unstructured<'_>) -> Result<Vec<(u16, u8)>> {
    let count = source.int_in_range(0..=TURNED_MAX)?;
    (0..count).map(|_| source.arbitrary()).collect()
}

fn report(source: &mut Unstructured<'_>) -> Result<Report> {
    let mut report = Report::empty(InstanceId::from_bytes(source.arbitrary()?), time(source)?);
    report.next_contact_seconds = source.arbitrary()?;
    report.queue = source
        .arbitrary::<Option<(u64, u64)>>()?
        .map(|(pending, dropped)| QueueDepth { pending, dropped });
    report.offered_through = if source.arbitrary()? {
        Some(sequence(source)?)
    } else {
        None
    };
    report.agent_version = source
        .arbitrary::<Option<&str>>()?
        .map(|version| cut(version, limits::AGENT_VERSION_BYTES));
    for _ in 0..source.int_in_range(0..=3)? {
        let (one, other) = (sequence(source)?, sequence(source)?);
        let reasons = [GapReason::QueueFull, GapReason::Purged, GapReason::Corrupt];
        let reason = *source.choose(&reasons)?;
        report.gaps.push(Gap {
            first: one.min(other),
            last: one.max(other),
            reason,
        });
    }
    while !source.is_empty() && report.observations.len() < limits::OBSERVATIONS {
        let row = observation(source, report.observations.last())?;
        report.observations.push(row);
    }
    Ok(report)
}

fn observation(source: &mut Unstructured<'_>, before: Option<&Observation>) -> Result<Observation> {
    // Rows are alike, as real ones are: most fields are those of the row before.
    let mut row = match before {
        Some(before) if source.arbitrary()? => Observation {
            seq: before.seq.saturating_add(1).min(limits::SEQUENCE_MAX),
            observed_at: before.observed_at.plus(source.int_in_range(0..=70_000)?),
            ..before.clone()
        },
        _ => Observation::new(sequence(source)?, process(source)?, time(source)?),
    };
    for _ in 0..source.int_in_range(0..=3)? {
        change(source, &mut row)?;
    }
    Ok(row)
}

fn change(source: &mut Unstructured<'_>, row: &mut Observation) -> Result<()> {
    match source.int_in_range(0..=10)? {
        0 => row.process = process(source)?,
        1 => row.clock = *source.choose(&[Clock::Synced, Clock::Unsynced, Clock::Unknown])?,
        2 => row.state = state(source)?,
        3 => row.spec_hash = source.arbitrary::<Option<[u8; 8]>>()?.map(SpecHash),
        4 => row.pid = source.arbitrary()?,
        5 => row.exit_code = source.arbitrary()?,
        6 => row.restarts = source.arbitrary()?,
        7 => row.reason = cut(source.arbitrary()?, limits::REASON_BYTES),
        8 => row.message = (*source.choose(&MESSAGES)?).to_owned(),
        9 => row.message = cut(source.arbitrary()?, limits::MESSAGE_BYTES),
        _ => row.values = values(source)?,
    }
    Ok(())
}

fn values(source: &mut Unstructured<'_>) -> Result<BTreeMap<String, Value>> {
    let mut values = BTreeMap::new();
    for _ in 0..source.int_in_range(0..=limits::VALUES)? {
        let name = match source.arbitrary::<Option<u8>>()? {
            Some(number) => format!("v{number}"),
            None => cut(source.arbitrary()?, limits::VALUE_NAME_BYTES),
        };
        let number = match source.arbitrary::<Option<i32>>()? {
            Some(number) => f64::from(number) / 10f64.powi(source.int_in_range(0..=17)?),
            None => source.arbitrary()?,
        };
        if let (Some(value), false) = (Value::new(number), name.is_empty()) {
            values.insert(name, value);
        }
    }
    Ok(values)
}

fn state(source: &mut Unstructured<'_>) -> Result<Option<ProcessState>> {
    use ProcessState as S;
    let states = [
        None,
        Some(S::Pending),
        Some(S::Running),
        Some(S::Backoff),
        Some(S::Succeeded),
        Some(S::Failed),
        Some(S::Stopped),
    ];
    source.choose(&states).copied()
}

fn process(source: &mut Unstructured<'_>) -> Result<ProcessRef> {
    let name = *source.choose(&PROCESSES)?;
    Ok(name.parse().expect("they are names"))
}

fn sequence(source: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match source.arbitrary::<Option<u8>>()? {
        Some(small) => small.into(),
        None => source.arbitrary::<u64>()? & limits::SEQUENCE_MAX,
    })
}

fn time(source: &mut Unstructured<'_>) -> Result<UnixMillis> {
    /// 2026-11-23T10:00:00Z.
    const NOW_MS: i64 = 1_795_428_000_000;
    Ok(match source.arbitrary::<Option<i16>>()? {
        Some(near) => UnixMillis::saturating(NOW_MS + i64::from(near)),
        None => UnixMillis::saturating(source.arbitrary()?),
    })
}

fn cut(text: &str, max: usize) -> String {
    text.get(..text.floor_char_boundary(max))
        .unwrap_or_default()
        .to_owned()
}
