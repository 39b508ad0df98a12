//! The JSON report: one bad observation is refused alone, a bad envelope is refused by the field's name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small made-up numbers"
)]

mod sample;

use apollo_wire::{
    Report,
    json::{self, JsonError},
    limits,
};
use sample::*;

fn report(observations: &str) -> Result<Report, JsonError> {
    let body = format!(
        r#"{{"instance":"{}","sentAt":"2026-11-23T10:00:00Z","unknown":[1e999],"observations":{observations}}}"#,
        instance()
    );
    json::decode_report(body.as_bytes())
}

/// The refusal of one observation with these fields after its seq, between two sound ones.
fn refusal(fields: &str) -> String {
    let sound = |seq| format!(r#"{{"seq":{seq},"process":"default/a","observedAt":"2026-11-23T09:00:00Z"}}"#);
    let decoded = report(&format!("[{},{{\"seq\":2,{fields}}},{}]", sound(1), sound(3))).unwrap();
    assert_eq!(
        decoded.observations.iter().map(|row| row.seq).collect::<Vec<_>>(),
        [1, 3],
        "{fields}"
    );
    assert_eq!(decoded.malformed[0].seq, 2);
    decoded.malformed[0].message.clone()
}

/// The refusal of one observation that would be sound but for `field`.
fn refusal_of(field: &str) -> String {
    refusal(&format!(
        r#""process":"default/a","observedAt":"2026-11-23T09:00:00Z",{field}"#
    ))
}

#[test]
fn a_bad_observation_is_refused_alone_and_by_field() {
    for (fields, named) in [
        (r#""observedAt":"2026-11-23T09:00:00Z""#, "process"),
        (
            r#""process":"A/b","observedAt":"2026-11-23T09:00:00Z""#,
            "process: expected NAMESPACE/NAME",
        ),
        (
            r#""process":"default/a","observedAt":"yesterday""#,
            "observedAt: expected an RFC 3339 time",
        ),
        (r#""process":"default/a","observedAt":12"#, "observedAt"),
    ] {
        assert!(
            refusal(fields).contains(named),
            "{} names {named}",
            refusal(fields)
        );
    }
    for (field, named) in [
        (
            r#""clock":"sundial""#,
            "clock: expected synced, unsynced or unknown, found \"sundial\"",
        ),
        (r#""state":"Dancing""#, "state"),
        (r#""specHash":"9F86D081884C7D65""#, "specHash"),
        (r#""pid":-1"#, "pid"),
        (r#""pid":1e999"#, "pid"),
        (r#""exitCode":2147483648"#, "exitCode"),
        (r#""restarts":"3""#, "restarts"),
        (r#""reason":7"#, "reason"),
        (r#""message":"\ud800""#, "message"),
        (r#""values":{"a":1e999}"#, "values"),
        (r#""values":{"a":"b"}"#, "values"),
        (r#""values":{"a":1,"a":2}"#, "values"),
        (r#""values":{"":1}"#, "values"),
        (r#""message":"a","message":"b""#, "every field at most once"),
    ] {
        assert!(
            refusal_of(field).contains(named),
            "{} names {named}",
            refusal_of(field)
        );
    }
}

#[test]
fn limits_of_a_row_hold_at_and_one_past() {
    let text = |field: &str, bytes: usize| format!(r#""{field}":"{}""#, "x".repeat(bytes));
    let values = |count: usize| {
        let entries: Vec<String> = (0..count).map(|n| format!(r#""v{n}":{n}"#)).collect();
        format!(r#""values":{{{}}}"#, entries.join(","))
    };
    let name = |bytes: usize| format!(r#""values":{{"{}":1}}"#, "n".repeat(bytes));
    for (at, past, named) in [
        (
            text("message", limits::MESSAGE_BYTES),
            text("message", limits::MESSAGE_BYTES + 1),
            "message",
        ),
        (
            text("reason", limits::REASON_BYTES),
            text("reason", limits::REASON_BYTES + 1),
            "reason",
        ),
        (values(limits::VALUES), values(limits::VALUES + 1), "values"),
        (
            name(limits::VALUE_NAME_BYTES),
            name(limits::VALUE_NAME_BYTES + 1),
            "values",
        ),
    ] {
        let sound =
            format!(r#"[{{"seq":2,"process":"default/a","observedAt":"2026-11-23T09:00:00Z",{at}}}]"#);
        assert_eq!(report(&sound).unwrap().malformed, []);
        assert!(refusal_of(&past).contains(named), "{}", refusal_of(&past));
    }
}

#[test]
fn a_report_without_a_readable_sequence_is_refused() {
    for row in [
        r#"{"process":"default/a"}"#,
        r#"{"seq":-1}"#,
        r#"{"seq":18446744073709551616}"#,
        r#"{"seq":1,"seq":2}"#,
        r#"{"seq":[1]}"#,
    ] {
        let error = report(&format!(r#"[{{"seq":5}},{row}]"#)).unwrap_err();
        assert_eq!(error.field(), "observations[1].seq", "{row}");
    }
}

#[test]
fn r08_a_sequence_past_the_limit_is_refused_alone() {
    let with = |seq: u64| {
        let row = format!(r#"{{"seq":{seq},"process":"default/a","observedAt":"2026-11-23T09:00:00Z"}}"#);
        report(&format!("[{row}]")).unwrap()
    };
    assert_eq!(with(limits::SEQUENCE_MAX).observations.len(), 1);
    let past = with(limits::SEQUENCE_MAX + 1);
    assert_eq!(
        (past.observations.len(), past.malformed[0].seq),
        (0, limits::SEQUENCE_MAX + 1)
    );
    assert!(past.malformed[0].message.contains("2^63"));
}

#[test]
fn a_number_where_a_list_or_an_object_belongs_is_refused_with_what_was_expected() {
    let values = refusal_of(r#""values":5"#);
    assert!(
        values.contains("values: expected an object of at most"),
        "{values}"
    );
    let list = report("5").unwrap_err().to_string();
    assert!(list.contains("observations") && list.contains("a list"), "{list}");
}

/// Lists of fields in their order, which a derived decoder would take for the object they are not.
#[test]
fn an_array_where_an_object_belongs_is_refused_by_field() {
    let refused = |fields: &str| {
        let rest = format!(r#""instance":"{}","sentAt":"2026-11-23T10:00:00Z""#, instance());
        match json::decode_report(format!("{{{rest},{fields}}}").as_bytes()) {
            Err(JsonError::Field { field, .. }) => field,
            other => panic!("{fields}: {other:?}"),
        }
    };
    let sound = r#"{"seq":1,"process":"default/a","observedAt":"2026-11-23T09:00:00Z"}"#;
    let listed = r#"[2,"default/a","2026-11-23T09:00:00Z"]"#;
    assert_eq!(
        refused(&format!(r#""observations":[{sound},{listed}]"#)),
        "observations[1]"
    );
    assert_eq!(refused(r#""observations":[7]"#), "observations[0]");
    assert_eq!(refused(r#""observations":[null]"#), "observations[0]");
    assert_eq!(refused(r#""queue":[1,2]"#), "queue");
    assert_eq!(refused(r#""queue":[]"#), "queue");
    assert_eq!(refused(r#""gaps":[[1,2,"QueueFull"]]"#), "gaps[0]");
    let whole = format!(r#"["{}","2026-11-23T10:00:00Z"]"#, instance());
    assert_eq!(
        json::decode_report(whole.as_bytes()).unwrap_err().field(),
        "report"
    );
    let values = r#""process":"default/a","observedAt":"2026-11-23T09:00:00Z","values":[["rss",1]]"#;
    assert!(refusal(values).contains("values"));
}

#[test]
fn a_bad_envelope_is_refused_by_field() {
    let envelope = |fields: &str| {
        json::decode_report(fields.as_bytes())
            .unwrap_err()
            .field()
            .to_owned()
    };
    let rest = format!(r#""instance":"{}","sentAt":"2026-11-23T10:00:00Z""#, instance());
    assert_eq!(envelope(r#"{"sentAt":"2026-11-23T10:00:00Z"}"#), "instance");
    assert_eq!(envelope(&format!(r#"{{"instance":"{}"}}"#, instance())), "sentAt");
    assert_eq!(envelope("[]"), "report");
    assert_eq!(envelope("{"), "report");
    for (field, named) in [
        (r#""nextContactSeconds":-1"#, "nextContactSeconds"),
        (r#""queue":{"pending":-1}"#, "queue"),
        (r#""offeredThrough":9223372036854775808"#, "offeredThrough"),
        (r#""gaps":[{"first":3,"last":2,"reason":"QueueFull"}]"#, "gaps[0]"),
        (r#""gaps":[{"first":1,"last":2,"reason":"Gremlins"}]"#, "gaps[0]"),
        (r#""observations":{}"#, "observations"),
    ] {
        assert_eq!(envelope(&format!("{{{rest},{field}}}")), named);
    }
    let version = |bytes: usize| format!(r#"{{{rest},"agentVersion":"{}"}}"#, "v".repeat(bytes));
    assert!(json::decode_report(version(limits::AGENT_VERSION_BYTES).as_bytes()).is_ok());
    assert_eq!(
        envelope(&version(limits::AGENT_VERSION_BYTES + 1)),
        "agentVersion"
    );
}

#[test]
fn absent_null_and_empty_mean_the_same() {
    let row = r#"[{"seq":1,"process":"default/a","observedAt":"2026-11-23T09:00:00Z","exitCode":null,"state":null,"values":null}]"#;
    assert_eq!(report(row).unwrap().observations.len(), 1);
    assert_eq!(report("null").unwrap(), report("[]").unwrap());
}

#[test]
fn too_many_observations_or_gaps_are_refused() {
    let rows = |count: usize| format!("[{}]", vec![r#"{"seq":1}"#; count].join(","));
    assert_eq!(
        report(&rows(limits::OBSERVATIONS)).unwrap().malformed.len(),
        limits::OBSERVATIONS
    );
    assert!(matches!(
        report(&rows(limits::OBSERVATIONS + 1)),
        Err(JsonError::TooMany {
            field: "observations",
            max: limits::OBSERVATIONS
        })
    ));
    let gaps = |count: usize| {
        let gap = |first: usize| format!(r#"{{"first":{first},"last":{first},"reason":"Purged"}}"#);
        let gaps: Vec<String> = (0..count).map(|number| gap(2 * number)).collect();
        let rest = format!(r#""instance":"{}","sentAt":"2026-11-23T10:00:00Z""#, instance());
        json::decode_report(format!(r#"{{{rest},"gaps":[{}]}}"#, gaps.join(",")).as_bytes())
    };
    assert_eq!(gaps(limits::GAPS).unwrap().gaps.len(), limits::GAPS);
    assert!(matches!(
        gaps(limits::GAPS + 1),
        Err(JsonError::TooMany {
            field: "gaps",
            max: limits::GAPS
        })
    ));
}
