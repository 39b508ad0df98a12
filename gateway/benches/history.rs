//! How fast history goes into the embedded store, every append durable, and what a row takes in the file:
//! `cargo bench -p apollo-gateway --bench history`.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark is a test: names written here are valid"
)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use apollo_gateway::store::{
    Store,
    embedded::{EmbeddedStore, Missing},
};
use apollo_gateway_core::store::StoreReply;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

#[path = "../tests/store_values/mod.rs"]
mod store_values;

/// Rows of one append: ten full reports of one device.
const ROWS: u64 = 10_000;
/// As few as criterion takes: an append lasts long, and the file grows with each.
const SAMPLES: usize = 10;

fn append(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("history.db");
    let store = EmbeddedStore::open(&path, Missing::Create).unwrap();
    let runtime = Runtime::new().unwrap();
    let mut appended = 0;
    let mut group = criterion.benchmark_group("history");
    group.sample_size(SAMPLES).throughput(Throughput::Elements(ROWS));
    group.bench_function("append of 10,000 rows", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut taken = Duration::ZERO;
            for _ in 0..iterations {
                // New rows each time: what is there already is not written again.
                let rows = (1..=ROWS).map(|seq| store_values::row(appended + seq)).collect();
                let request = store_values::append("buoy", 1, rows);
                let begun = Instant::now();
                let reply = black_box(runtime.block_on(store.execute(request)));
                taken += begun.elapsed();
                assert!(matches!(reply, StoreReply::HistoryAppended { .. }));
                appended += ROWS;
            }
            taken
        });
    });
    group.finish();
    // The last handle writes the log back into the file.
    drop(store);
    let bytes = std::fs::metadata(&path).unwrap().len();
    // Nothing was appended if the command line chose other benchmarks.
    if let Some(row_bytes) = bytes.checked_div(appended) {
        println!("{row_bytes} bytes a row in the file, of {appended} rows");
    }
}

criterion_group!(benches, append);
criterion_main!(benches);
