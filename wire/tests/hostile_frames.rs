//! No bytes make a decoder panic, and none but a whole frame is taken for one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small made-up numbers"
)]

mod sample;

use std::sync::LazyLock;

use apollo_wire::{
    binary::{self, DecodeError},
    json, limits,
};
use proptest::{collection, prelude::*};
use sample::*;

fn decode_all(bytes: &[u8]) -> [bool; 3] {
    [
        binary::decode_report(bytes).is_ok(),
        binary::decode_verdicts(bytes).is_ok(),
        binary::decode_desired(bytes).is_ok(),
    ]
}

/// One frame of each kind; `decode_alike` knows their order.
static FRAMES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut long = batch();
    for (index, row) in long.observations.iter_mut().enumerate() {
        row.message = (0..300)
            .map(|place| char::from(b'a' + ((index * place) % 23) as u8))
            .collect();
    }
    let mut rejected = verdicts_with_rejections();
    rejected.rejected = vec![rejected.rejected[0].clone(); 30];
    let mut large = desired();
    large.processes[0].spec = serde_json::value::to_raw_value(&"x1y ".repeat(5000)).unwrap();
    [
        [empty(), full(), batch(), long]
            .iter()
            .map(binary::encode_report)
            .collect::<Vec<_>>(),
        [verdicts_of_one_range(), verdicts_with_rejections(), rejected]
            .iter()
            .map(binary::encode_verdicts)
            .collect(),
        [desired(), large].iter().map(binary::encode_desired).collect(),
    ]
    .concat()
});

/// What the frame decodes to, as text; the error if it does not.
fn decode_alike(kind: usize, bytes: &[u8]) -> Result<String, DecodeError> {
    match kind {
        0..4 => binary::decode_report(bytes).map(|report| format!("{report:?}")),
        4..7 => binary::decode_verdicts(bytes).map(|verdicts| format!("{verdicts:?}")),
        _ => binary::decode_desired(bytes).map(|desired| format!("{desired:?}")),
    }
}

#[test]
fn a_frame_cut_anywhere_is_refused() {
    for (kind, frame) in FRAMES.iter().enumerate() {
        assert!(decode_alike(kind, frame).is_ok(), "kind {kind}");
        // Every byte of small frames; of large ones every 13th and the last 20.
        let near_the_end = frame.len().saturating_sub(20);
        for cut in (0..frame.len()).filter(|cut| frame.len() < 400 || cut % 13 == 0 || *cut > near_the_end) {
            assert!(
                decode_alike(kind, &frame[..cut]).is_err(),
                "kind {kind}, cut at {cut} of {}",
                frame.len()
            );
        }
    }
}

#[test]
fn a_byte_after_the_frame_is_refused() {
    for (kind, frame) in FRAMES.iter().enumerate() {
        for more in [0, 1, 0x80, 0xff] {
            let trailed = [frame.as_slice(), &[more]].concat();
            assert!(
                decode_alike(kind, &trailed).is_err(),
                "kind {kind}, trailed by {more}"
            );
        }
    }
}

#[test]
fn another_version_is_refused_by_name() {
    for mut frame in FRAMES.clone() {
        frame[0] = 2;
        assert_eq!(binary::decode_report(&frame), Err(DecodeError::Version(2)));
    }
    assert_eq!(
        binary::decode_report(&[]),
        Err(DecodeError::Truncated { field: "version" })
    );
}

#[test]
fn a_number_longer_than_it_needs_is_refused() {
    let mut verdicts = binary::encode_verdicts(&verdicts_of_one_range());
    assert_eq!(verdicts[2], 3, "the epoch");
    verdicts.splice(2..3, [0x83, 0x00]);
    let error = binary::decode_verdicts(&verdicts).unwrap_err();
    assert!(error.to_string().contains("shortest form"), "{error}");
}

#[test]
fn unknown_extensions_are_skipped_and_broken_ones_are_not() {
    const EXTENSIONS: u8 = 1 << 5;
    let mut frame = binary::encode_report(&empty());
    frame[23] |= EXTENSIONS;
    let with = |extensions: &[u8]| [frame.as_slice(), extensions].concat();
    assert_eq!(
        binary::decode_report(&with(&[2, 7, 3, 1, 2, 3, 9, 0])).unwrap(),
        empty()
    );
    for broken in [
        &[1][..],
        &[1, 7],
        &[1, 7, 1],
        &[2, 7, 0, 7, 0],
        &[2, 7, 0, 6, 0],
        &[17],
        &[1, 7, 0, 0],
    ] {
        assert!(binary::decode_report(&with(broken)).is_err(), "{broken:?}");
    }
}

#[test]
fn unknown_extensions_of_a_desired_document_are_skipped_and_unknown_parts_are_not() {
    const EXTENSIONS: u8 = 1 << 1;
    let desired = desired();
    let frame = binary::encode_desired(&desired);
    let extended = [&[frame[0], frame[1] | EXTENSIONS, 1, 7, 2, 1, 2], &frame[2..]].concat();
    assert_eq!(binary::decode_desired(&extended).unwrap(), desired);
    for bit in 2..8 {
        let mut unknown = frame.clone();
        unknown[1] |= 1 << bit;
        let refused = binary::decode_desired(&unknown).unwrap_err();
        assert!(
            matches!(refused, DecodeError::Invalid { field: "parts", .. }),
            "{refused}"
        );
    }
}

#[test]
fn unknown_extensions_of_verdicts_are_skipped() {
    const EXTENSIONS: u8 = 1 << 5;
    let verdicts = verdicts_of_one_range();
    let mut extended = binary::encode_verdicts(&verdicts);
    assert_eq!(extended[1] & EXTENSIONS, 0);
    extended[1] |= EXTENSIONS;
    // What follows them, rejections, is absent here.
    extended.extend([1, 7, 2, 1, 2]);
    assert_eq!(binary::decode_verdicts(&extended).unwrap(), verdicts);
}

#[test]
fn a_frame_that_ends_early_is_called_truncated() {
    for field in [
        binary::decode_desired(&[binary::VERSION]).unwrap_err(),
        binary::decode_desired(&[binary::VERSION, 0]).unwrap_err(),
        binary::decode_verdicts(&[binary::VERSION]).unwrap_err(),
    ] {
        assert!(matches!(field, DecodeError::Truncated { .. }), "{field}");
    }
}

/// A report frame whose texts claim to unpack to `claimed` bytes and do unpack to `real`.
fn bomb(claimed: u64, real: usize) -> Vec<u8> {
    let mut frame = binary::encode_report(&empty());
    frame[23] = 1 << 6 | 1 << 7;
    let packed = zstd::bulk::compress(&vec![b'a'; real], 19).unwrap();
    frame = postcard::to_extend(&claimed, frame).unwrap();
    frame = postcard::to_extend(&(packed.len() as u64), frame).unwrap();
    [frame, packed].concat()
}

#[test]
fn a_decompression_bomb_is_too_large_before_it_is_unpacked() {
    let max = limits::FRAME_DECODED_BYTES;
    let honest = bomb(max as u64 + 1, max + 1);
    assert!(honest.len() < 4096);
    assert!(binary::decode_report(&honest).unwrap_err().is_too_large());
    assert!(
        binary::decode_report(&bomb(u64::MAX, 10))
            .unwrap_err()
            .is_too_large()
    );
    let at_the_limit = binary::decode_report(&bomb(max as u64, max)).unwrap_err();
    assert!(!at_the_limit.is_too_large(), "{at_the_limit}");
    for (claimed, real) in [(10, max), (11, 10), (9, 10)] {
        let lying = binary::decode_report(&bomb(claimed, real)).unwrap_err();
        assert!(
            matches!(lying, DecodeError::Invalid { field: "texts", .. }),
            "{lying}"
        );
    }
}

#[test]
fn rows_that_unpack_to_too_much_are_too_large() {
    let mut report = empty();
    report.observations = (0..10_000).map(bare).collect();
    for row in &mut report.observations {
        row.message = "a".repeat(limits::MESSAGE_BYTES);
        row.reason = "b".repeat(limits::REASON_BYTES);
    }
    let frame = binary::encode_report(&report);
    assert!(frame.len() < 2000, "{}", frame.len());
    assert!(binary::decode_report(&frame).is_ok());
    for row in &mut report.observations {
        row.values = (0..10)
            .map(|n| (format!("{n:063}"), apollo_wire::Value::new(0.0).unwrap()))
            .collect();
    }
    assert!(
        binary::decode_report(&binary::encode_report(&report))
            .unwrap_err()
            .is_too_large()
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_all(&bytes);
        let _ = decode_all(&[&[binary::VERSION], bytes.as_slice()].concat());
        let _ = json::decode_report(&bytes);
    }

    #[test]
    fn arbitrary_columns_never_panic(bytes in collection::vec(any::<u8>(), 0..300)) {
        let mut frame = binary::encode_report(&empty());
        frame[23] = 1 << 7;
        let _ = binary::decode_report(&[frame, bytes].concat());
    }

    #[test]
    fn mutated_frames_never_panic(
        kind in 0..9usize, changes in collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut frame = FRAMES[kind].clone();
        for (place, byte) in changes {
            let place = place.index(frame.len());
            frame[place] ^= byte;
        }
        let _ = decode_all(&frame);
    }

    #[test]
    fn mutated_json_never_panics(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = json::encode_report(&full());
        let place = place.index(body.len());
        body[place] = byte;
        let _ = json::decode_report(&body);
    }
}
