//! A poll with 10 and with 100,000 DeviceProcesses stored costs the same.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark is a test: names written here are valid"
)]

use std::hint::black_box;

use apollo_gateway_core::{
    desired::{DesiredIndex, Fetch, Form},
    object::{DesiredPhase, ProcessObject, ProcessStatus},
};
use apollo_wire::{CanonicalSpec, DeviceName, ProcessRef};
use criterion::{Criterion, criterion_group, criterion_main};

fn index(processes: usize) -> DesiredIndex {
    let spec = CanonicalSpec::new(&serde_json::json!({ "command": ["/usr/bin/collector"] })).unwrap();
    let mut index = DesiredIndex::default();
    for number in 0..processes {
        index.upsert(&ProcessObject {
            process: ProcessRef::new("default", &format!("collector-{number}")).unwrap(),
            device: format!("buoy-{}", number / 5).parse().unwrap(),
            generation: 1,
            spec: spec.clone(),
            wants: DesiredPhase::Running,
            status: ProcessStatus::default(),
        });
    }
    index
}

fn poll(criterion: &mut Criterion) {
    let device: DeviceName = "buoy-1".parse().unwrap();
    for processes in [10, 100_000] {
        let index = index(processes);
        let (Fetch::Body { etag, .. } | Fetch::NotModified { etag }) =
            index.fetch(&device, None, Form::Binary);
        criterion.bench_function(
            &format!("unmodified poll, {processes} processes stored"),
            |bencher| {
                bencher.iter(|| index.fetch(black_box(&device), Some(etag.as_str()), Form::Binary));
            },
        );
        criterion.bench_function(
            &format!("whole document, {processes} processes stored"),
            |bencher| {
                bencher.iter(|| index.fetch(black_box(&device), None, Form::Binary));
            },
        );
    }
}

criterion_group!(benches, poll);
criterion_main!(benches);
