//! What coding a report costs: `cargo bench -p apollo-wire`.

use std::hint::black_box;

use apollo_wire::{InstanceId, Observation, ProcessState, Report, UnixMillis, binary, json};
use criterion::{Criterion, criterion_group, criterion_main};

/// A report of `rows` samples from five processes, with messages that differ in their numbers.
fn report(rows: u64) -> Option<Report> {
    let sent_at = UnixMillis::saturating(1_795_000_000_000);
    let mut report = Report::empty(InstanceId::from_bytes([7; 16]), sent_at);
    for seq in 0..rows {
        let process = format!("default/process-{}", seq * 7 % 5).parse().ok()?;
        // Multiplication by an odd constant: numbers that look random and are the same in every run.
        let noise = seq.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let mut row = Observation::new(
            seq,
            process,
            sent_at.plus(-30_000 * i64::try_from(rows - seq).ok()?),
        );
        row.state = Some(ProcessState::Running);
        row.reason = "Sampled".to_owned();
        row.message = format!(
            "uses {} KiB, load {}.{:02}",
            noise % 65_536,
            noise % 7,
            noise % 100
        );
        report.observations.push(row);
    }
    Some(report)
}

fn codec(criterion: &mut Criterion) {
    for rows in [1, 1000] {
        let Some(report) = report(rows) else { return };
        let (frame, text) = (binary::encode_report(&report), json::encode_report(&report));
        let mut group = criterion.benchmark_group(format!("{rows} observations"));
        group.bench_function("binary encode", |bencher| {
            bencher.iter(|| binary::encode_report(black_box(&report)));
        });
        group.bench_function("binary decode", |bencher| {
            bencher.iter(|| binary::decode_report(black_box(&frame)));
        });
        group.bench_function("json decode", |bencher| {
            bencher.iter(|| json::decode_report(black_box(&text)));
        });
        group.finish();
    }
}

criterion_group!(benches, codec);
criterion_main!(benches);
