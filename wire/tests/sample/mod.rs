//! Messages and strategies the tests share.
#![allow(dead_code, reason = "every test file uses some of them")]

use apollo_wire::{
    Clock, DesiredProcess, DesiredState, Gap, GapReason, InstanceId, Observation, ProcessRef, ProcessState,
    QueueDepth, RejectReason, Rejection, Report, SequenceRange, SpecHash, UnixMillis, Value, Verdicts,
    limits,
};
use proptest::{collection, option, prelude::*, sample::select};
use serde_json::value::RawValue;

pub(crate) fn instance() -> InstanceId {
    "0192f7c4-8a11-7d3b-9c5e-426fa0d81733".parse().unwrap()
}

pub(crate) fn time(text: &str) -> UnixMillis {
    text.parse().unwrap()
}

pub(crate) fn process(name: &str) -> ProcessRef {
    name.parse().unwrap()
}

/// An empty report as an agent sends it.
pub(crate) fn empty() -> Report {
    Report::empty(instance(), time("2026-11-23T10:00:00.000Z"))
}

/// One observation with nothing but the required fields.
pub(crate) fn bare(seq: u64) -> Observation {
    Observation::new(
        seq,
        process("default/collector"),
        time("2026-11-23T09:59:58.500Z"),
    )
}

/// One observation of a running process.
pub(crate) fn started(seq: u64) -> Observation {
    let mut row = bare(seq);
    row.state = Some(ProcessState::Running);
    row.spec_hash = Some("9f86d081884c7d65".parse().unwrap());
    row.pid = Some(4242);
    row.reason = "Started".to_owned();
    row
}

/// A report as a device with sensors sends it: two processes in turn, at whole seconds, with measurements that move a
/// little from one row to the next. More of them than rows, so that what is learned on the way matters.
pub(crate) fn telemetry() -> Report {
    let mut report = empty();
    report.observations = (0..40).map(|row| measured(row, 8)).collect();
    report
}

/// One row of such a device with so many measurements, one of them a counter in whole numbers.
fn measured(row: u32, names: u32) -> Observation {
    let mut observation = bare(u64::from(row) + 1);
    observation.process = process(if row.is_multiple_of(2) {
        "default/sonde"
    } else {
        "default/gauge"
    });
    observation.observed_at = time("2026-11-23T09:30:00.000Z").plus(i64::from(row) * 15_000);
    observation.values = (0..names)
        .map(|name| {
            let number = match name {
                0 => f64::from(1_000 + row * 3),
                _ => f64::from(name * 1_000 + row * name % 7) / 100.0,
            };
            (format!("channel_{name}"), Value::new(number).unwrap())
        })
        .collect();
    observation
}

/// A report with every field in use.
pub(crate) fn full() -> Report {
    let mut report = empty();
    report.next_contact_seconds = Some(900);
    report.queue = Some(QueueDepth {
        pending: 12,
        dropped: 7,
    });
    report.offered_through = Some(41);
    report.agent_version = Some("0.1.0".to_owned());
    report.gaps = vec![
        Gap {
            first: 3,
            last: 9,
            reason: GapReason::QueueFull,
        },
        Gap {
            first: 12,
            last: 12,
            reason: GapReason::Corrupt,
        },
        Gap {
            first: 20,
            last: 30,
            reason: GapReason::Purged,
        },
    ];
    let mut failed = started(40);
    failed.state = Some(ProcessState::Backoff);
    failed.pid = None;
    failed.exit_code = Some(-6);
    failed.restarts = Some(3);
    failed.reason = "Exited".to_owned();
    failed.message = "exit code 134 after 07.50 s, größer als erwartet".to_owned();
    failed.clock = Clock::Unsynced;
    let mut measured = Observation::new(17, process("default/collector"), time("1970-01-01T00:00:12.001Z"));
    measured.clock = Clock::Unknown;
    measured.values = [
        ("rss_kib", 5321.0),
        ("load", 0.25),
        ("drift", -1e-300),
        ("temperature", -2.5),
    ]
    .map(|(name, number)| (name.to_owned(), Value::new(number).unwrap()))
    .into();
    let mut other = started(42);
    other.process = process("field-7/modem.v2");
    report.observations = vec![started(39), failed, measured, other];
    report
}

/// A report of many alike rows.
pub(crate) fn batch() -> Report {
    let mut report = empty();
    report.next_contact_seconds = Some(30);
    report.queue = Some(QueueDepth {
        pending: 60,
        dropped: 0,
    });
    let row = |index: u64| {
        let mut row = started(1000 + index);
        row.process = process(["default/collector", "default/uplink", "default/gps"][index as usize % 3]);
        row.observed_at =
            time("2026-11-23T09:00:00.000Z").plus(index as i64 * 30_000 + (index as i64 * 37) % 11);
        row.reason = if index % 7 == 3 { "Probed" } else { "Sampled" }.to_owned();
        row.message = match index % 7 {
            3 => format!("answered after {} ms", 20 + index * 13 % 90),
            _ => format!(
                "uses {} KiB and {}.{:02} s",
                4096 + index * 7919 % 1024,
                index / 4,
                index * 29 % 100
            ),
        };
        row
    };
    report.observations = (0..60).map(row).collect();
    report
}

pub(crate) fn verdicts_of_one_range() -> Verdicts {
    Verdicts {
        epoch: 3,
        highest_sequence: 12_345,
        acked: vec![SequenceRange {
            first: 11_346,
            last: 12_345,
        }],
        accepted: 1000,
        duplicates: 0,
        orphaned: 0,
        rejected: vec![],
        server_time: time("2026-11-23T10:00:00.301Z"),
        clock_skew_ms: -12,
    }
}

pub(crate) fn verdicts_with_rejections() -> Verdicts {
    Verdicts {
        acked: vec![
            SequenceRange { first: 1, last: 8 },
            SequenceRange { first: 10, last: 17 },
        ],
        highest_sequence: 17,
        accepted: 9,
        duplicates: 6,
        orphaned: 1,
        rejected: vec![
            Rejection {
                seq: 9,
                reason: RejectReason::NotBound,
                message: "process default/other is bound to another device".to_owned(),
            },
            Rejection {
                seq: 18,
                reason: RejectReason::TimestampInFuture,
                message: String::new(),
            },
        ],
        ..verdicts_of_one_range()
    }
}

pub(crate) fn desired() -> DesiredState {
    let spec = r#"{"command":["/usr/bin/collector"],"deviceRef":{"name":"buoy-17"},"env":[{"name":"PORT","value":"9"}]}"#;
    let item = |name: &str, generation| DesiredProcess {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        generation,
        spec_hash: SpecHash([0x9f, 0x86, 0xd0, 0x81, 0x88, 0x4c, 0x7d, 0x65]),
        spec: RawValue::from_string(spec.to_owned()).unwrap(),
    };
    DesiredState {
        device: "buoy-17".parse().unwrap(),
        processes: vec![item("collector", 2), item("uplink", 11)],
    }
}

fn any_time() -> impl Strategy<Value = UnixMillis> {
    prop_oneof![
        (0..2_000_000i64).prop_map(|after| time("2026-11-23T10:00:00Z").plus(after)),
        (0..5000i64).prop_map(|after| time("2026-11-23T10:00:00Z").plus(after * 1000)),
        any::<i64>().prop_map(UnixMillis::saturating),
    ]
}

fn any_sequence() -> impl Strategy<Value = u64> {
    prop_oneof![0..100u64, 0..=limits::SEQUENCE_MAX, Just(limits::SEQUENCE_MAX)]
}

fn any_process() -> impl Strategy<Value = ProcessRef> {
    prop_oneof![
        select(vec!["default/a", "default/collector", "field/b.c-d"]).prop_map(process),
        "[a-z][a-z0-9]{0,20}/[a-z0-9]{1,30}(\\.[a-z]{1,9})?".prop_map(|name| process(&name)),
    ]
}

fn any_message() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        (0..300u32, 0..100u32).prop_map(|(a, b)| format!("exit code {a}, took {b}.{b:02} s")),
        "[a-z0-9 .,:-]{0,60}",
        "[0-9]{0,80}",
        "\\PC{0,40}",
        any::<String>().prop_filter("within the limit", |text| text.len() <= limits::MESSAGE_BYTES),
    ]
}

prop_compose! {
    pub(crate) fn any_observation()(
        seq in any_sequence(), process in any_process(), observed_at in any_time(),
        clock in select(vec![Clock::Synced, Clock::Unsynced, Clock::Unknown]),
        state in option::of(select(vec![ProcessState::Pending, ProcessState::Running, ProcessState::Backoff,
            ProcessState::Succeeded, ProcessState::Failed, ProcessState::Stopped])),
        spec_hash in option::of(prop_oneof![Just(SpecHash([7; 8])), any::<[u8; 8]>().prop_map(SpecHash)]),
        (pid, exit_code, restarts) in (option::of(any::<u32>()), option::of(any::<i32>()), option::of(0..9u32)),
        reason in prop_oneof![Just(String::new()), Just("Started".to_owned()), "\\PC{0,20}"],
        message in any_message(),
        values in collection::btree_map("[a-z_]{1,63}|rss", prop_oneof![any::<f64>(), (0..9999i32).prop_map(|n| f64::from(n) / 100.0)], 0..4),
    ) -> Observation {
        let values = values.into_iter().filter_map(|(name, number)| Some((name, Value::new(number)?))).collect();
        Observation { seq, process, observed_at, clock, state, spec_hash, pid, exit_code, restarts, reason, message, values }
    }
}

fn any_gap() -> impl Strategy<Value = Gap> {
    (
        any_sequence(),
        any_sequence(),
        select(vec![GapReason::QueueFull, GapReason::Purged, GapReason::Corrupt]),
    )
        .prop_map(|(a, b, reason)| Gap {
            first: a.min(b),
            last: a.max(b),
            reason,
        })
}

prop_compose! {
    pub(crate) fn any_report()(
        instance in any::<[u8; 16]>(), sent_at in any_time(), next_contact_seconds in option::of(any::<u32>()),
        queue in option::of((any::<u64>(), any::<u64>())), offered_through in option::of(any_sequence()),
        agent_version in option::of("\\PC{0,16}"), gaps in collection::vec(any_gap(), 0..4),
        observations in collection::vec(any_observation(), 0..30),
    ) -> Report {
        Report {
            instance: InstanceId::from_bytes(instance), sent_at, next_contact_seconds, offered_through, agent_version,
            queue: queue.map(|(pending, dropped)| QueueDepth { pending, dropped }), gaps, observations,
            malformed: vec![],
        }
    }
}

prop_compose! {
    pub(crate) fn any_verdicts()(
        epoch in any::<u32>(), highest_sequence in any_sequence(), settled in collection::vec(any_sequence(), 0..20),
        (accepted, duplicates, orphaned) in (any::<u32>(), 0..9u32, 0..9u32), honest in any::<bool>(),
        rejected in collection::vec((any_sequence(), 0..4usize, "\\PC{0,60}"), 0..8),
        server_time in any_time(), clock_skew_ms in any::<i64>(),
    ) -> Verdicts {
        let reasons = [RejectReason::NotBound, RejectReason::TimestampInFuture, RejectReason::TimestampTooOld,
            RejectReason::Malformed];
        let acked = SequenceRange::collect(settled.clone());
        let distinct: u64 = acked.iter().map(|range| range.last - range.first + 1).sum();
        let accepted = if honest { (distinct as u32).saturating_sub(duplicates + orphaned) } else { accepted };
        let rejected = rejected.into_iter().map(|(seq, reason, message)| Rejection { seq, reason: reasons[reason], message });
        Verdicts {
            epoch, highest_sequence, acked, accepted, duplicates, orphaned, rejected: rejected.collect(), server_time,
            clock_skew_ms,
        }
    }
}

prop_compose! {
    pub(crate) fn any_desired()(
        items in collection::vec(("[a-z]{1,20}", "[a-z]{1,20}(\\.[a-z0-9]{1,9})?", any::<i64>(), any::<[u8; 8]>(), "\\PC{0,40}"), 0..6),
    ) -> DesiredState {
        let item = |(namespace, name, generation, hash, text): (String, String, i64, [u8; 8], String)| DesiredProcess {
            namespace, name, generation, spec_hash: SpecHash(hash),
            spec: RawValue::from_string(serde_json::json!({"args": [text, 1.5, null]}).to_string()).unwrap(),
        };
        DesiredState { device: "buoy-17".parse().unwrap(), processes: items.into_iter().map(item).collect() }
    }
}
