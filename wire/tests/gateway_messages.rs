//! What comes from a gateway, in both forms: taken whole or not at all, within limits, and by name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small made-up numbers"
)]

mod sample;

use apollo_wire::{DesiredProcess, RejectReason, Rejection, SequenceRange, Verdicts, binary, json, limits};
use sample::*;
use serde_json::{Value, json, value::to_raw_value};

/// The field at fault if the JSON is refused; empty if it is taken.
fn verdicts_field(body: &Value) -> String {
    json::decode_verdicts(&serde_json::to_vec(body).unwrap())
        .map_or_else(|error| error.field().to_owned(), |_| String::new())
}

fn desired_field(body: &Value) -> String {
    json::decode_desired(&serde_json::to_vec(body).unwrap())
        .map_or_else(|error| error.field().to_owned(), |_| String::new())
}

fn verdicts_value() -> Value {
    serde_json::from_slice(&json::encode_verdicts(&verdicts_with_rejections())).unwrap()
}

fn desired_value() -> Value {
    serde_json::from_slice(&json::encode_desired(&desired())).unwrap()
}

/// The field that the frame of these verdicts is refused for; empty if it is taken.
fn frame_field(verdicts: &Verdicts) -> &'static str {
    binary::decode_verdicts(&binary::encode_verdicts(verdicts)).map_or_else(|error| error.field(), |_| "")
}

#[test]
fn a_list_where_an_object_belongs_is_refused_by_field() {
    for (body, field) in [
        (
            json!([3, 17, [[1, 8]], 8, 0, 0, [], "2026-11-23T10:00:00Z", 0]),
            "verdicts",
        ),
        (json!(null), "verdicts"),
        (json!("{}"), "verdicts"),
    ] {
        assert_eq!(verdicts_field(&body), field, "{body}");
    }
    let mut body = verdicts_value();
    body["rejected"][1] = json!([9, "NotBound", ""]);
    assert_eq!(verdicts_field(&body), "rejected[1]");

    assert_eq!(desired_field(&json!(["buoy-17", []])), "desired");
    let mut body = desired_value();
    body["processes"][1] = json!(["default", "a", 1, "9f86d081884c7d65", {}]);
    assert_eq!(desired_field(&body), "processes[1]");

    for body in [&b"[\"Forbidden\",403,\"\",null]"[..], b"3", b""] {
        assert_eq!(json::decode_problem(body).unwrap_err().field(), "problem");
    }
}

#[test]
fn every_field_of_verdicts_is_required_and_named_when_wrong() {
    assert_eq!(verdicts_field(&verdicts_value()), "");
    let fields: Vec<String> = verdicts_value().as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields.len(), 9);
    for field in fields {
        for wrong in [None, Some(Value::Null), Some(json!({"x": 1}))] {
            let mut body = verdicts_value();
            match wrong {
                Some(wrong) => body[&field] = wrong,
                None => drop(body.as_object_mut().unwrap().remove(&field)),
            }
            assert_eq!(verdicts_field(&body), field, "{body}");
        }
    }
}

#[test]
fn every_field_of_a_desired_document_is_required_and_named_when_wrong() {
    assert_eq!(desired_field(&desired_value()), "");
    for field in ["device", "processes"] {
        for wrong in [Value::Null, json!(1), json!("A_B")] {
            let mut body = desired_value();
            body[field] = wrong;
            assert_eq!(desired_field(&body), field, "{body}");
        }
    }
    for (field, wrong) in [
        ("namespace", json!("A")),
        ("name", json!("")),
        ("generation", json!("2")),
        ("specHash", json!("9F86D081884C7D65")),
    ] {
        let mut body = desired_value();
        body["processes"][0][field] = wrong;
        assert_eq!(desired_field(&body), "processes[0]", "{body}");
    }
}

#[test]
fn unknown_fields_are_ignored() {
    let (mut verdicts, mut desired) = (verdicts_value(), desired_value());
    verdicts["later"] = json!([1]);
    verdicts["rejected"][0]["later"] = json!({});
    desired["later"] = json!(1);
    desired["processes"][0]["later"] = json!(null);
    assert_eq!(
        (verdicts_field(&verdicts), desired_field(&desired)),
        Default::default()
    );
}

#[test]
fn ranges_are_sorted_disjoint_and_below_2_to_the_63() {
    let max = limits::SEQUENCE_MAX;
    for (acked, index) in [
        (json!([[1, 8], [9, 9], [max, max]]), None),
        (json!([[8, 1]]), Some(0)),
        (json!([[1, 8], [8, 9]]), Some(1)),
        (json!([[10, 17], [1, 8]]), Some(1)),
        (json!([[1, max + 1]]), Some(0)),
        (json!([[1]]), Some(0)),
        (json!([[1, 2, 3]]), Some(0)),
        (json!([{"first": 1, "last": 2}]), Some(0)),
    ] {
        let mut body = verdicts_value();
        body["acked"] = acked;
        let field = index.map_or(String::new(), |index| format!("acked[{index}]"));
        assert_eq!(verdicts_field(&body), field, "{body}");
    }
}

#[test]
fn sequences_at_the_limit_and_one_past() {
    let mut verdicts = verdicts_of_one_range();
    for (past, field) in [(0, ""), (1, "highestSequence")] {
        verdicts.highest_sequence = limits::SEQUENCE_MAX + past;
        assert_eq!(frame_field(&verdicts), field, "listed");
        let range = SequenceRange {
            first: verdicts.highest_sequence,
            last: verdicts.highest_sequence,
        };
        let one_range = Verdicts {
            acked: vec![range],
            ..verdicts.clone()
        };
        assert_eq!(frame_field(&one_range), field, "one range");
        let mut body = verdicts_value();
        body["highestSequence"] = json!(verdicts.highest_sequence);
        assert_eq!(verdicts_field(&body), field);

        let mut refused = verdicts_with_rejections();
        refused.rejected[1].seq = limits::SEQUENCE_MAX + past;
        let rejected = if past == 0 { "" } else { "rejected" };
        assert_eq!(frame_field(&refused), rejected);
        let mut body = verdicts_value();
        body["rejected"][1]["seq"] = json!(limits::SEQUENCE_MAX + past);
        assert_eq!(verdicts_field(&body).starts_with("rejected[1]"), past == 1);
    }
}

#[test]
fn lists_at_the_limit_and_one_past() {
    let ranges = |count: u64| {
        let range = |n: u64| SequenceRange {
            first: 3 * n,
            last: 3 * n + 1,
        };
        Verdicts {
            acked: (0..count).map(range).collect(),
            ..verdicts_of_one_range()
        }
    };
    let rejections = |count: u64| {
        let rejection = |seq| Rejection {
            seq,
            reason: RejectReason::Malformed,
            message: String::new(),
        };
        Verdicts {
            rejected: (0..count).map(rejection).collect(),
            ..verdicts_of_one_range()
        }
    };
    let max = limits::OBSERVATIONS as u64;
    let taken = |verdicts: &Verdicts| json::decode_verdicts(&json::encode_verdicts(verdicts));
    for verdicts in [ranges(max), rejections(max)] {
        assert_eq!(taken(&verdicts).unwrap(), verdicts);
        assert_eq!(frame_field(&verdicts), "");
    }
    for (verdicts, field) in [(ranges(max + 1), "acked"), (rejections(max + 1), "rejected")] {
        assert_eq!(taken(&verdicts).unwrap_err().field(), field);
        assert_eq!(frame_field(&verdicts), field);
    }
}

#[test]
fn processes_and_specs_at_the_limit_and_one_past() {
    let with = |count: usize, spec_bytes: usize| {
        let mut document = desired();
        let spec = to_raw_value(&"x".repeat(spec_bytes - 2)).unwrap();
        let process = DesiredProcess {
            spec,
            ..document.processes.remove(0)
        };
        document.processes = vec![process; count];
        json::decode_desired(&json::encode_desired(&document))
    };
    assert_eq!(
        with(limits::DESIRED_PROCESSES, 2).unwrap().processes.len(),
        limits::DESIRED_PROCESSES
    );
    assert_eq!(
        with(limits::DESIRED_PROCESSES + 1, 2).unwrap_err().field(),
        "processes"
    );
    assert!(with(1, limits::SPEC_BYTES).is_ok());
    assert_eq!(
        with(1, limits::SPEC_BYTES + 1).unwrap_err().field(),
        "processes[0]"
    );
}
