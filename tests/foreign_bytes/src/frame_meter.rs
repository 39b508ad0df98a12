//! The counter of HTTP/3 frames that stands between QUIC and h3 on every stream of a peer.

use apollo_gateway::listener::meter::{
    CONTROL_BYTES_MAX, Excess, FRAME_BYTES_MAX, Meter, OTHER_BYTES_MAX, REQUEST_BYTES_MAX,
};

use crate::memory::bounded;

/// Bytes of a stream: the first byte says which kind and how it is cut. However a stream arrives in pieces, the meter
/// says the same as the definition, at the same byte; and it holds nothing.
pub fn frame_meter(bytes: &[u8]) {
    let Some((&kind, stream)) = bytes.split_first() else {
        return;
    };
    let request = kind & 1 == 0;
    let piece = usize::from(kind >> 1).max(1);
    let fresh = || {
        if request {
            Meter::request()
        } else {
            Meter::unidirectional()
        }
    };

    let expected = refused_at(stream, request);
    let mut whole = fresh();
    let whole = bounded(0, || whole.take(stream));
    assert_eq!(whole.err(), expected.map(|(_, excess)| excess), "in one piece");
    let mut bytewise = fresh();
    let refused = stream
        .iter()
        .enumerate()
        .find_map(|(at, byte)| bytewise.take(&[*byte]).err().map(|excess| (at, excess)));
    assert_eq!(refused, expected, "byte by byte");
    let mut pieces = fresh();
    let refused = stream.chunks(piece).find_map(|piece| pieces.take(piece).err());
    assert_eq!(
        refused,
        expected.map(|(_, excess)| excess),
        "in pieces of {piece}"
    );
}

/// The definition: RFC 9114 frames (section 7.1) with RFC 9000 integers (section 16), read the slow way. Where the stream
/// goes past a bound, and which.
fn refused_at(stream: &[u8], request: bool) -> Option<(usize, Excess)> {
    let mut at = 0;
    if !request {
        let (kind, length) = integer(stream)?;
        if kind != 0 {
            let max = usize::try_from(OTHER_BYTES_MAX).expect("small");
            return (stream.len() > max).then_some((max, Excess { max: OTHER_BYTES_MAX }));
        }
        at = length;
    }
    let budget = if request {
        REQUEST_BYTES_MAX
    } else {
        CONTROL_BYTES_MAX
    };
    // The stream type counts, too.
    let mut counted = at as u64;
    let over = |counted: u64, bytes: usize| {
        let room = budget.saturating_sub(counted);
        (bytes as u64 > room).then(|| usize::try_from(room).expect("small"))
    };
    while at < stream.len() {
        let rest = &stream[at..];
        let type_length = integer(rest).map_or(rest.len(), |(_, length)| length);
        let header = integer(rest).and_then(|(frame, first)| {
            let (length, second) = integer(&rest[first..])?;
            Some((frame, length, first + second))
        });
        let header_length = header.map_or(rest.len(), |(_, _, length)| length);
        debug_assert!(type_length <= header_length);
        if let Some(room) = over(counted, header_length) {
            return Some((at + room, Excess { max: budget }));
        }
        let (frame, length, _) = header?;
        counted += header_length as u64;
        at += header_length;
        let body = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(stream.len() - at);
        if frame == 0 {
            if length > 0 {
                counted -= header_length as u64;
            }
        } else {
            if length > FRAME_BYTES_MAX {
                return Some((at - 1, Excess { max: FRAME_BYTES_MAX }));
            }
            if let Some(room) = over(counted, body) {
                return Some((at + room, Excess { max: budget }));
            }
            counted += body as u64;
        }
        at += body;
    }
    None
}

/// A variable-length integer and how many bytes it has, if it is all there.
fn integer(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = 1 << (first >> 6);
    let bytes = bytes.get(..length)?;
    let value = bytes[1..].iter().fold(u64::from(first & 0x3f), |value, byte| {
        value << 8 | u64::from(*byte)
    });
    Some((value, length))
}
