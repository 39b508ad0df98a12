//! How many bytes an observation takes in report frames of 10,000 down to 1.
//!
//! `cargo run --release -p apollo-wire --example frame_sizes -- FILE`, with one observation as JSON on each line.

use std::{error::Error, hint::black_box, time::Instant};

use apollo_wire::{InstanceId, Observation, QueueDepth, Report, binary};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: frame_sizes FILE.ndjson")?;
    let text = std::fs::read_to_string(path)?;
    let rows: Vec<Observation> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    println!(
        "{} observations, {:.1} bytes each as NDJSON",
        rows.len(),
        per_row(text.len(), rows.len())
    );
    println!(
        "{:>6} {:>7} {:>9} {:>12} {:>12} {:>12}",
        "rows", "frames", "bytes", "bytes/row", "encode us", "decode us"
    );
    for size in [10_000, 1_000, 100, 10, 1] {
        let reports: Vec<Report> = rows.chunks(size).map(report).collect();
        let start = Instant::now();
        let frames: Vec<Vec<u8>> = reports.iter().map(binary::encode_report).collect();
        let encoded = start.elapsed();
        let start = Instant::now();
        for (frame, report) in frames.iter().zip(&reports) {
            let decoded = black_box(binary::decode_report(frame)?);
            if decoded != *report {
                return Err("a frame decodes to another report".into());
            }
        }
        let decoded = start.elapsed();
        let bytes: usize = frames.iter().map(Vec::len).sum();
        println!(
            "{size:>6} {:>7} {bytes:>9} {:>12.2} {:>12} {:>12}",
            frames.len(),
            per_row(bytes, rows.len()),
            encoded.as_micros() / frames.len() as u128,
            decoded.as_micros() / frames.len() as u128,
        );
    }
    Ok(())
}

/// The report an agent would send: with its queue's depth and its next contact.
fn report(rows: &[Observation]) -> Report {
    let newest = rows.last().map(|row| row.observed_at).unwrap_or_default();
    let instance =
        InstanceId::from_bytes(*b"\x01\x92\xf7\xc4\x8a\x11\x7d\x3b\x9c\x5e\x42\x6f\xa0\xd8\x17\x33");
    let mut report = Report::empty(instance, newest.plus(1_500));
    report.next_contact_seconds = Some(30);
    report.queue = Some(QueueDepth {
        pending: rows.len() as u64,
        dropped: 0,
    });
    report.observations = rows.to_vec();
    report
}

fn per_row(bytes: usize, rows: usize) -> f64 {
    bytes as f64 / rows.max(1) as f64
}
