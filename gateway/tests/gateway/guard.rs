//! Peers that never finish a frame: their stream or connection ends, what we hold stays small, others go on.

use quinn::{ConnectionError, VarInt, WriteError};

use crate::{
    client::Client,
    fixture::{Fixture, PATIENCE},
};

/// H3_EXCESSIVE_LOAD
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(0x107);
/// A length of 256 MiB as a four-byte integer.
const ENDLESS: [u8; 4] = [0x90, 0, 0, 0];
const HEADERS: u8 = 0x01;
/// A type that no extension defines.
const UNKNOWN: u8 = 0x3f;

/// Writes zeros until it is told to stop: the code, and how many bytes went out.
async fn flood(send: &mut quinn::SendStream, piece: &[u8]) -> (WriteError, u64) {
    let mut sent = 0;
    let flooding = async {
        loop {
            match send.write(piece).await {
                Ok(bytes) => sent += bytes as u64,
                Err(error) => return error,
            }
        }
    };
    let error = tokio::time::timeout(PATIENCE, flooding)
        .await
        .expect("to be stopped");
    (error, sent)
}

#[tokio::test]
async fn an_endless_headers_or_unknown_frame_is_reset_and_the_connection_lives() {
    let fixture = Fixture::start().await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    for frame_type in [HEADERS, UNKNOWN] {
        let (mut send, mut recv) = device.connection.open_bi().await.unwrap();
        send.write_all(&[frame_type]).await.unwrap();
        send.write_all(&ENDLESS).await.unwrap();
        let (error, sent) = flood(&mut send, &[0; 4096]).await;
        assert_eq!(error, WriteError::Stopped(EXCESSIVE_LOAD), "type {frame_type}");
        assert!(sent <= 2 * 1024 * 1024, "{sent} bytes were taken");
        let reset = recv.read_to_end(1).await.unwrap_err();
        assert!(format!("{reset:?}").contains("Reset(263)"), "{reset:?}");
    }
    assert_eq!(device.get("/v1/desired", &[]).await.status, 200);
}

#[tokio::test]
async fn many_small_unknown_frames_are_a_flood_too() {
    let fixture = Fixture::start().await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    let (mut send, _recv) = device.connection.open_bi().await.unwrap();
    let frame = [vec![UNKNOWN, 0x3c], vec![0; 0x3c]].concat();
    let (error, _) = flood(&mut send, &frame.repeat(64)).await;
    assert_eq!(error, WriteError::Stopped(EXCESSIVE_LOAD));
    assert_eq!(device.get("/v1/desired", &[]).await.status, 200);
}

#[tokio::test]
async fn a_flood_on_the_control_stream_ends_that_connection_alone() {
    let fixture = Fixture::start().await;
    let mut bystander = Client::connect(&fixture, "buoy-18").await;
    for frame in [
        [&[UNKNOWN][..], &ENDLESS[..]].concat(),
        [vec![UNKNOWN, 0x3c], vec![0; 0x3c]].concat(),
    ] {
        let config = crate::client::tls(&fixture.authority, Some(&fixture.device("buoy-17")));
        let endpoint = crate::client::endpoint();
        let connection = endpoint
            .connect_with(config, fixture.udp, "localhost")
            .unwrap()
            .await
            .unwrap();
        let mut control = connection.open_uni().await.unwrap();
        // Stream type 0, an empty SETTINGS frame, then the flood.
        control.write_all(&[0x00, 0x04, 0x00]).await.unwrap();
        flood(&mut control, &frame.repeat(64)).await;
        let closed = tokio::time::timeout(PATIENCE, connection.closed()).await.unwrap();
        let ConnectionError::ApplicationClosed(close) = &closed else {
            panic!("{closed:?}")
        };
        assert_eq!(close.error_code, EXCESSIVE_LOAD);
    }
    assert_eq!(bystander.get("/v1/desired", &[]).await.status, 200);
}

/// A HEADERS frame of a GET of `/v1/desired` with one more field of `value` bytes (RFC 9204, section 4.5; nothing is
/// packed, so h3's own client, which knows the bound, need not agree).
fn headers_frame(value: usize) -> Vec<u8> {
    let varint = |number: usize| u16::try_from(number | 0x4000).unwrap().to_be_bytes();
    // No dynamic table. Then :method GET and :scheme https of the static table (17, 23).
    let mut section = vec![0, 0, 0xc0 | 17, 0xc0 | 23];
    // :authority (0) and :path (1) by name, their values written out.
    for (index, text) in [(0_u8, "localhost"), (1, "/v1/desired")] {
        section.push(0x50 | index);
        section.push(u8::try_from(text.len()).unwrap());
        section.extend(text.bytes());
    }
    // A field `x`: name and value written out, the length with a prefix of 7 bits.
    section.extend([0x21, b'x', 0x7f]);
    let mut rest = value - 127;
    while rest >= 128 {
        section.push(u8::try_from(rest % 128).unwrap() | 0x80);
        rest /= 128;
    }
    section.push(u8::try_from(rest).unwrap());
    section.extend(vec![b'v'; value]);
    [&[HEADERS][..], &varint(section.len()), &section].concat()
}

#[tokio::test]
async fn a_header_block_over_the_bound_is_431_and_the_connection_lives() {
    let fixture = Fixture::start().await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    // As HTTP/3 counts it: names, values and 32 bytes for each of the five fields (RFC 9114, section 4.2.2).
    let others = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/v1/desired"),
    ];
    let others: usize = others
        .iter()
        .map(|(name, value)| name.len() + value.len() + 32)
        .sum();
    let most = usize::try_from(apollo_gateway::listener::limits::FIELD_SECTION_BYTES).unwrap() - others - 33;
    for (value, too_large) in [(most, false), (most + 1, true)] {
        let (mut send, mut recv) = device.connection.open_bi().await.unwrap();
        send.write_all(&headers_frame(value)).await.unwrap();
        send.finish().unwrap();
        let answer = recv.read_to_end(64 * 1024).await.unwrap();
        // ":status 431" is a reference to the name and three digits, written out or by Huffman's code (RFC 7541, B).
        let is_431 = [&b"431"[..], &[0x69, 0x90, 0xff]]
            .iter()
            .any(|digits| answer.windows(3).any(|bytes| bytes == *digits));
        assert_eq!(is_431, too_large, "{value}: {answer:x?}");
    }
    assert_eq!(device.get("/v1/desired", &[]).await.status, 200);
}

/// h3 keeps a number for each stream that broke off, so there is a bound, and past it the connection is closed.
#[tokio::test]
async fn a_flood_of_requests_without_headers_ends_that_connection_alone() {
    let fixture = Fixture::start().await;
    let mut bystander = Client::connect(&fixture, "buoy-18").await;
    let device = Client::connect(&fixture, "buoy-17").await;
    let most = u64::from(apollo_gateway::listener::limits::BROKEN_REQUESTS);
    let mut opened = 0;
    let flooding = async {
        loop {
            match device.connection.open_bi().await {
                Ok((mut send, _recv)) => {
                    opened += 1;
                    let _ = send.finish();
                }
                Err(error) => return error,
            }
        }
    };
    let closed = tokio::time::timeout(PATIENCE * 4, flooding)
        .await
        .expect("to be closed");
    let ConnectionError::ApplicationClosed(close) = &closed else {
        panic!("{closed:?}")
    };
    assert_eq!(close.error_code, EXCESSIVE_LOAD);
    assert!(opened > most, "{opened} streams");
    assert_eq!(bystander.get("/v1/desired", &[]).await.status, 200);
}
