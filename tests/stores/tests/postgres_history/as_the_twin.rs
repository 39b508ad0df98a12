//! Any requests: history in Postgres answers what the twin in memory answers, and keeps the same.

use std::collections::BTreeMap;

use anyhow::Result;
use apollo_gateway::store::{ObservationFilter, postgres::PostgresHistory};
use apollo_gateway_core::store::{HistoryRow, OnConflict, StoreRequest};
use apollo_twins::store::Store;
use apollo_wire::{Clock, Gap, GapReason, ProcessState, SpecHash, UnixMillis, Value};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::select,
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::json;

use crate::{
    server::Server,
    store_values::{append, device, instance, process, row},
};

/// Histories that are compared; each has a device of its own.
const CASES: u32 = 150;

fn a_row() -> impl Strategy<Value = HistoryRow> {
    let texts = select(vec!["", "a", "a\0", "a\u{2400}", "it's \"so\" \\ {,}"]);
    let values = select(vec![None, Some(0.1), Some(-3.0), Some(1e300), Some(2.5e-9)]);
    let times = (
        select(vec![UnixMillis::MIN, UnixMillis::default(), UnixMillis::MAX]),
        any::<bool>(),
    );
    let state = option::of(select(vec![ProcessState::Running, ProcessState::Failed]));
    let clock = select(vec![Clock::Synced, Clock::Unknown]);
    let numbers = (
        option::of(any::<u32>()),
        option::of(any::<i32>()),
        option::of(any::<[u8; 8]>()),
    );
    (
        0_u64..10,
        texts,
        values,
        times,
        state,
        clock,
        numbers,
        any::<bool>(),
    )
        .prop_map(
            |(seq, text, value, (time, corrected), state, clock, (pid, exit_code, hash), orphaned)| {
                // Numbers repeat the sequence most of the time, so that rows often say the same.
                let mut row = row(seq);
                let observation = &mut row.observation;
                observation.process = process(if text == "a" { "q" } else { "p" });
                observation.observed_at = time;
                observation.clock = clock;
                observation.state = state;
                observation.pid = pid.map(|pid| if orphaned { pid } else { 1 });
                observation.restarts = observation.pid;
                observation.exit_code = exit_code.map(|code| if orphaned { code } else { 1 });
                observation.spec_hash = hash.map(|hash| SpecHash(if orphaned { hash } else { [1; 8] }));
                observation.reason = text.to_owned();
                observation.message = text.repeat(2);
                if let Some(value) = value.and_then(Value::new) {
                    observation.values.insert(format!("n{text}"), value);
                }
                row.corrected_at = corrected.then_some(time);
                row.orphaned = orphaned;
                row
            },
        )
}

fn a_gap() -> impl Strategy<Value = Gap> {
    let reasons = select(vec![GapReason::QueueFull, GapReason::Purged, GapReason::Corrupt]);
    (1_u64..4, 0_u64..4, reasons).prop_map(|(first, more, reason)| Gap {
        first,
        last: first + more,
        reason,
    })
}

/// Requests of one device, whose name comes later. A pool of few rows, so that the same ones come again.
fn requests() -> impl Strategy<Value = Vec<StoreRequest>> {
    let rows = vec(a_row(), 6);
    rows.prop_flat_map(|pool| {
        let some = vec(select(pool), 0..8);
        let adding = (
            some,
            vec(a_gap(), 0..4),
            1_u8..3,
            0_u32..3,
            0_i64..5,
            any::<bool>(),
        );
        let adding = adding.prop_map(|(some, some_gaps, of, number, at, strict)| {
            let mut request = append("later", of, some);
            if let StoreRequest::AppendHistory {
                epoch,
                received_at,
                gaps,
                on_conflict,
                ..
            } = &mut request
            {
                *epoch = number;
                *received_at = UnixMillis::saturating(at);
                *gaps = some_gaps;
                if strict {
                    *on_conflict = OnConflict::RefuseOther;
                }
            }
            request
        });
        let settled = (1_u8..3, vec(0_u64..12, 0..6)).prop_map(|(of, sequences)| StoreRequest::ReadSettled {
            device: device("later"),
            instance: instance(of),
            sequences,
        });
        let highest = (1_u8..3).prop_map(|of| StoreRequest::ReadHighest {
            device: device("later"),
            instance: instance(of),
        });
        vec(prop_oneof![4 => adding, 1 => settled, 1 => highest], 1..10)
    })
}

fn of_device(mut request: StoreRequest, name: &str) -> StoreRequest {
    if let StoreRequest::AppendHistory { device, .. }
    | StoreRequest::ReadSettled { device, .. }
    | StoreRequest::ReadHighest { device, .. } = &mut request
    {
        *device = crate::store_values::device(name);
    }
    request
}

/// Everything the twin has, as the read API shows it.
fn expected(twin: &Store) -> Vec<serde_json::Value> {
    let mut all = BTreeMap::new();
    for (device, instance, entry) in twin.history.rows() {
        let epoch = twin.history.epoch(device, instance).unwrap();
        let observation = &entry.row.observation;
        let shown = json!({
            "device": device, "epoch": epoch, "instance": instance, "seq": observation.seq,
            "process": observation.process, "observedAt": observation.observed_at,
            "correctedAt": entry.row.corrected_at, "receivedAt": entry.received_at, "clock": observation.clock,
            "state": observation.state, "specHash": observation.spec_hash, "pid": observation.pid,
            "exitCode": observation.exit_code, "restarts": observation.restarts, "reason": observation.reason,
            "message": observation.message, "values": observation.values, "orphaned": entry.row.orphaned,
        });
        all.insert((epoch, instance.to_string(), observation.seq), shown);
    }
    all.into_values().collect()
}

async fn compare(
    history: &PostgresHistory,
    name: &str,
    requests: Vec<StoreRequest>,
) -> Result<Store, TestCaseError> {
    let mut twin = Store::default();
    for request in requests {
        let request = of_device(request, name);
        let reply = history.execute(request.clone()).await;
        prop_assert_eq!(reply, twin.execute(request));
    }
    let filter = ObservationFilter {
        device: Some(device(name)),
        ..ObservationFilter::default()
    };
    let kept = history
        .observations(&filter, 1_000)
        .await
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let kept: Vec<_> = kept.iter().map(|record| json!(record)).collect();
    prop_assert_eq!(kept, expected(&twin));
    Ok(twin)
}

/// P-02, R-04, R-09, R-10: whatever comes, replies, rows and gap records are those of the twin, which the embedded
/// store is held to as well.
#[test]
fn p02_history_answers_and_keeps_what_the_twin_does() -> Result<()> {
    let Some(server) = Server::start("as the twin")? else {
        return Ok(());
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let history = runtime.block_on(server.replica())?;
    let mut cases = TestRunner::new(Config {
        cases: CASES,
        max_shrink_iters: 200,
        ..Config::with_source_file(file!())
    });
    let number = std::cell::Cell::new(0);
    cases.run(&requests(), |requests| {
        number.set(number.get() + 1);
        let name = format!("buoy-{}", number.get());
        let twin = runtime.block_on(compare(&history, &name, requests))?;
        let sql = format!(
            "SELECT instance, first, last, reason FROM apollo.gaps WHERE device = '{name}' ORDER BY 1, 2, 3"
        );
        let kept = server
            .postgres
            .psql(&sql)
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        let gaps = twin
            .history
            .gaps()
            .map(|(_, instance, gap)| format!("{instance}|{}|{}|{:?}", gap.first, gap.last, gap.reason));
        prop_assert_eq!(
            kept.lines().map(str::to_owned).collect::<Vec<_>>(),
            gaps.collect::<Vec<_>>()
        );
        Ok(())
    })?;
    Ok(())
}
