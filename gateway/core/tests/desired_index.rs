//! The desired index: what a poll gets, what touches it, and that its cost does not grow with the fleet.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test should stop where it fails"
)]

mod memory;

use std::sync::Arc;

use apollo_gateway_core::{
    desired::{DesiredIndex, Fetch, Form},
    etag::ETag,
    object::ProcessObject,
};
use apollo_wire::{binary, json, limits};
use memory::{device, object, process, spec};

fn body(index: &DesiredIndex, name: &str, form: Form) -> (ETag, Arc<[u8]>) {
    match index.fetch(&device(name), None, form) {
        Fetch::Body { etag, body } => (etag, body),
        Fetch::NotModified { .. } => panic!("nothing was conditional"),
    }
}

fn names(index: &DesiredIndex, name: &str) -> Vec<String> {
    let document = json::decode_desired(&body(index, name, Form::Json).1).unwrap();
    document
        .processes
        .into_iter()
        .map(|process| process.name)
        .collect()
}

#[test]
fn a_document_has_the_devices_processes_sorted_in_both_forms() {
    let mut index = DesiredIndex::default();
    for name in ["b", "a"] {
        assert_eq!(index.upsert(&object(name, "buoy")), [device("buoy")]);
    }
    index.upsert(&object("c", "truck"));
    assert_eq!(names(&index, "buoy"), ["a", "b"]);
    let (etag, text) = body(&index, "buoy", Form::Json);
    let (same, frame) = body(&index, "buoy", Form::Binary);
    assert_eq!(etag, same);
    assert_eq!(
        json::decode_desired(&text).unwrap(),
        binary::decode_desired(&frame).unwrap()
    );
    let document = json::decode_desired(&text).unwrap();
    assert_eq!(document.processes[0].spec.get(), r#"{"command":["one"]}"#);
}

#[test]
fn an_unknown_device_gets_an_empty_list_and_the_constant_tag() {
    let index = DesiredIndex::default();
    let (etag, text) = body(&index, "nobody", Form::Json);
    assert_eq!(&*text, br#"{"device":"nobody","processes":[]}"#);
    assert_eq!(etag, ETag::of([]));
    let fetched = index.fetch(&device("nobody"), Some(etag.as_str()), Form::Json);
    assert_eq!(fetched, Fetch::NotModified { etag });
}

#[test]
fn a_poll_is_unmodified_until_something_changes() {
    let mut index = DesiredIndex::default();
    index.upsert(&object("a", "buoy"));
    let (etag, _) = body(&index, "buoy", Form::Binary);
    let poll = |index: &DesiredIndex| index.fetch(&device("buoy"), Some(etag.as_str()), Form::Binary);
    assert!(matches!(poll(&index), Fetch::NotModified { .. }));
    index.upsert(&ProcessObject {
        generation: 2,
        ..object("a", "buoy")
    });
    assert!(matches!(poll(&index), Fetch::Body { .. }));
    index.upsert(&object("a", "buoy"));
    assert!(
        matches!(poll(&index), Fetch::NotModified { .. }),
        "the tag is of the content, not of the history"
    );
    index.upsert(&ProcessObject {
        spec: spec("two"),
        ..object("a", "buoy")
    });
    assert!(matches!(poll(&index), Fetch::Body { .. }));
}

#[test]
fn a_change_of_status_touches_nothing() {
    let mut index = DesiredIndex::default();
    index.upsert(&object("a", "buoy"));
    let (_, before) = body(&index, "buoy", Form::Json);
    let mut changed = object("a", "buoy");
    changed.status.message = "new".into();
    assert_eq!(index.upsert(&changed), []);
    assert!(
        Arc::ptr_eq(&before, &body(&index, "buoy", Form::Json).1),
        "the encoded body is kept"
    );
}

#[test]
fn binding_anew_touches_both_devices() {
    let mut index = DesiredIndex::default();
    index.upsert(&object("a", "buoy"));
    index.upsert(&object("b", "buoy"));
    assert_eq!(
        index.upsert(&object("a", "truck")),
        [device("buoy"), device("truck")]
    );
    assert_eq!(
        (names(&index, "buoy"), names(&index, "truck")),
        (vec!["b".into()], vec!["a".into()])
    );
    assert_eq!((index.devices(), index.processes()), (2, 2));
}

#[test]
fn removal_is_told_once_and_leaves_nothing_behind() {
    let mut index = DesiredIndex::default();
    index.upsert(&object("a", "buoy"));
    assert_eq!(index.remove(&process("a")), Some(device("buoy")));
    assert_eq!(index.remove(&process("a")), None);
    assert_eq!((index.devices(), index.processes()), (0, 0));
    assert_eq!(body(&index, "buoy", Form::Json).0, ETag::of([]));
}

#[test]
fn r12_a_document_holds_no_more_than_its_agent_can_read() {
    let mut index = DesiredIndex::default();
    for number in 0..limits::DESIRED_PROCESSES {
        index.upsert(&object(&format!("p{number:05}"), "buoy"));
    }
    assert_eq!(names(&index, "buoy").len(), limits::DESIRED_PROCESSES);
    let (etag, _) = body(&index, "buoy", Form::Json);
    index.upsert(&object("z-one-past", "buoy"));
    assert_eq!(names(&index, "buoy").len(), limits::DESIRED_PROCESSES);
    assert_eq!(index.left_out(&device("buoy")), 1);
    assert_eq!(
        body(&index, "buoy", Form::Json).0,
        etag,
        "the tag is of what is served"
    );
}

#[test]
fn r12_a_document_has_no_more_bytes_than_its_agent_can_read() {
    // 256 items of this size and 512 bytes around them are 16 MiB.
    let fitting = 65_534 - 128 - "default/p000".len() - r#"{"command":[""]}"#.len();
    let put = |index: &mut DesiredIndex, number: u32, bytes: usize| {
        index.upsert(&ProcessObject {
            spec: spec(&"x".repeat(bytes)),
            ..object(&format!("p{number:03}"), "buoy")
        })
    };
    let mut index = DesiredIndex::default();
    for number in 0..256 {
        put(&mut index, number, fitting);
    }
    assert_eq!(names(&index, "buoy").len(), 256);
    assert_eq!(
        (index.left_out(&device("buoy")), index.overfull().count()),
        (0, 0)
    );
    put(&mut index, 7, fitting + 1);
    assert_eq!(names(&index, "buoy").len(), 255);
    assert_eq!(index.overfull().collect::<Vec<_>>(), [(&device("buoy"), 1)]);
    let frame = binary::decode_desired(&body(&index, "buoy", Form::Binary).1).unwrap();
    assert_eq!(frame.processes.len(), 255);
    put(&mut index, 7, fitting);
    assert_eq!(
        (index.left_out(&device("buoy")), names(&index, "buoy").len()),
        (0, 256)
    );
}

#[test]
fn a_poll_shares_the_kept_body_however_many_processes_there_are() {
    let mut index = DesiredIndex::default();
    for number in 0..2_000 {
        index.upsert(&object(&format!("p{number}"), &format!("buoy-{}", number / 5)));
    }
    let (_, first) = body(&index, "buoy-7", Form::Binary);
    let (_, second) = body(&index, "buoy-7", Form::Binary);
    assert!(Arc::ptr_eq(&first, &second), "encoded once");
    assert!(first.len() < 1_000, "only its own five processes");
}
