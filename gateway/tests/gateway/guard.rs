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
