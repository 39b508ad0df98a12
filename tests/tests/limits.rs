//! whatever a peer sends, the gateway answers or resets, its memory stays bounded, and the connection
//! goes on.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use apollo_tests::harness::{Device, INSTANCE, PATIENCE, Reply, World, observation, report};
use apollo_wire::{Observation, Report, UnixMillis, Value, binary, limits};
use http::Method;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;

/// `--max-body` of these tests.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// What one hostile stream may cost: stream windows, one body at the limit and allocator slack, far below what is sent.
const MEMORY_BYTES: u64 = 24 * 1024 * 1024;
/// What a hostile peer tries to make the gateway keep.
const FLOOD_BYTES: usize = 96 * 1024 * 1024;

fn world() -> Result<(World, Device)> {
    let world = World::new(&["--max-body", "64KiB"])?;
    world.bind("collector", "buoy-17")?;
    let device = world.device("buoy-17")?;
    Ok((world, device))
}

/// A report of exactly `length` bytes.
fn body(length: usize) -> Vec<u8> {
    let mut body = report(&[observation(1, "collector", 0)]).to_string().into_bytes();
    // White space after the value is JSON too (RFC 8259, section 2).
    body.resize(length, b' ');
    body
}

fn post(device: &Device, body: Vec<u8>, announce: bool) -> Result<Reply> {
    let length = body.len().to_string();
    let mut fields = vec![
        ("content-type", "application/json"),
        ("accept", "application/json"),
    ];
    if announce {
        fields.push(("content-length", length.as_str()));
    }
    device.request(Method::POST, "/v1/report", &fields, Some(body))
}

fn still_works(device: &Device) -> Result<()> {
    ensure!(
        device.report(&report(&[]))?.status == 200,
        "the connection did not survive"
    );
    Ok(())
}

#[test]
fn finding_08_a_body_at_the_limit_is_taken_and_one_byte_more_is_413_announced_or_not() -> Result<()> {
    let (_world, device) = world()?;
    for announce in [true, false] {
        assert_eq!(
            post(&device, body(MAX_BODY_BYTES), announce)?.status,
            200,
            "announced: {announce}"
        );
        let reply = post(&device, body(MAX_BODY_BYTES + 1), announce)?;
        assert_eq!(
            (reply.status, reply.content_type()),
            (413, "application/problem+json"),
            "announced: {announce}"
        );
        still_works(&device)?;
    }
    Ok(())
}

#[test]
fn finding_08_a_body_without_end_is_413_and_memory_stays_bounded() -> Result<()> {
    let (world, device) = world()?;
    still_works(&device)?;
    let before = world.gateway.process.resident_bytes()?;
    for _ in 0..4 {
        assert_eq!(post(&device, body(FLOOD_BYTES / 4), false)?.status, 413);
    }
    grown_within_bounds(&world, before)?;
    still_works(&device)
}

/// A frame of a few kilobytes that unpacks to more than the wire format allows (16 MiB).
fn bomb() -> Result<Vec<u8>> {
    let mut row = Observation::new(1, "default/collector".parse()?, UnixMillis::new(0)?);
    row.message = "x".repeat(limits::MESSAGE_BYTES);
    row.reason = "y".repeat(limits::REASON_BYTES);
    let zero = Value::new(0.0).context("zero is finite")?;
    row.values = (0..10).map(|number| (format!("{number:063}"), zero)).collect();
    let mut report = Report::empty(INSTANCE.parse()?, UnixMillis::new(0)?);
    report.observations = (1..=10_000)
        .map(|seq| Observation { seq, ..row.clone() })
        .collect();
    Ok(binary::encode_report(&report))
}

#[test]
fn finding_08_a_small_frame_that_unpacks_to_more_than_the_limit_is_413() -> Result<()> {
    let (world, device) = world()?;
    let frame = bomb()?;
    ensure!(
        frame.len() < MAX_BODY_BYTES,
        "the frame has {} bytes",
        frame.len()
    );
    let before = world.gateway.process.resident_bytes()?;
    let fields = [
        ("content-type", "application/vnd.apollo"),
        ("accept", "application/json"),
    ];
    let reply = device.request(Method::POST, "/v1/report", &fields, Some(frame))?;
    assert_eq!(
        (reply.status, reply.content_type()),
        (413, "application/problem+json")
    );
    grown_within_bounds(&world, before)?;
    still_works(&device)
}

#[test]
fn finding_08_an_endless_headers_frame_is_reset_and_memory_stays_bounded() -> Result<()> {
    let (world, device) = world()?;
    still_works(&device)?;
    let before = world.gateway.process.resident_bytes()?;
    // RFC 9114, section 7.2.2: type 0x01 (HEADERS), then a length of 256 MB as an 8-byte varint.
    for frame_type in [0x01_u8, 0x21] {
        let sent = flood(&device, frame_type)?;
        ensure!(
            sent < FLOOD_BYTES / 4,
            "frame type {frame_type:#x}: took {sent} bytes before it reset the stream"
        );
    }
    grown_within_bounds(&world, before)?;
    still_works(&device)
}

/// Sends a frame of the given type that announces 256 MB, until the gateway stops it. Returns how much went out.
fn flood(device: &Device, frame_type: u8) -> Result<usize> {
    device.block_on(PATIENCE * 2, async {
        let (mut send, mut receive) = device.quic.open_bi().await?;
        let mut head = vec![frame_type];
        head.extend_from_slice(&(256_000_000_u64 | 0b11 << 62).to_be_bytes());
        send.write_all(&head).await?;
        let piece = vec![b'x'; 16 * 1024];
        let mut sent = 0;
        while sent < FLOOD_BYTES {
            // Nobody reads on: the gateway keeps the stream stalled, which is as good as a reset.
            match tokio::time::timeout(Duration::from_secs(10), send.write_all(&piece)).await {
                Ok(Ok(())) => sent += piece.len(),
                Ok(Err(_stopped)) => return Ok(sent),
                Err(_stalled) => bail!("stalled after {sent} bytes without a reset"),
            }
        }
        receive.stop(quinn::VarInt::from_u32(0))?;
        Ok(sent)
    })
}

fn grown_within_bounds(world: &World, before: u64) -> Result<()> {
    let grown = world.gateway.process.resident_bytes()?.saturating_sub(before);
    ensure!(grown < MEMORY_BYTES, "memory grew by {} KiB", grown / 1024);
    Ok(())
}

#[test]
fn a_large_header_block_is_refused_and_the_connection_goes_on() -> Result<()> {
    let (_world, device) = world()?;
    let value = "x".repeat(32 * 1024);
    // Refused by an answer (431 or 400), by a reset, or by the client itself once it knows the peer's limit.
    if let Ok(reply) = device.request(Method::GET, "/v1/desired", &[("x-large", &value)], None) {
        ensure!([400, 431].contains(&reply.status), "{reply:?}");
    }
    still_works(&device)
}

#[test]
fn a_client_without_a_certificate_gets_nothing() -> Result<()> {
    let (world, _device) = world()?;
    // Refused in the handshake, or each request with 401.
    if let Ok(stranger) = Device::connect(world.gateway.udp(), &world.pki, None) {
        match stranger.report(&report(&[])) {
            Ok(reply) => assert_eq!(reply.status, 401),
            Err(_refused) => {}
        }
    }
    assert_eq!(world.gateway.observations("buoy-17")?.len(), 0);
    Ok(())
}

#[test]
fn a_certificate_of_another_authority_gets_nothing() -> Result<()> {
    let (world, _device) = world()?;
    let others = apollo_tests::harness::Pki::named(&world.sandbox, "others")?;
    let stranger = others.device("buoy-17")?;
    if let Ok(device) = Device::connect(world.gateway.udp(), &world.pki, Some(&stranger)) {
        ensure!(device.report(&report(&[])).is_err(), "a stranger was answered");
    }
    Ok(())
}

#[test]
fn a_gateway_with_the_smallest_body_limit_takes_the_largest_rows() -> Result<()> {
    /// More than the queue holds, so that gap records travel too.
    const ROWS: usize = 60;
    let world = World::new(&["--max-body", "32KiB"])?;
    let agent = world.agent("buoy-17")?;
    // Texts in which no model finds order, as long as they may be.
    let mut random = StdRng::seed_from_u64(7);
    let mut text = |bytes| -> String {
        (0..bytes)
            .map(|_| char::from(random.random_range(b' '..b'~')))
            .collect()
    };
    let mut lines = String::new();
    for _ in 0..ROWS {
        let values: serde_json::Map<_, _> = (0..32)
            .map(|n| (format!("{n:02}{}", text(61)), json!(1.0 / 3.0)))
            .collect();
        let row = json!({"process": "default/collector", "reason": text(128), "message": text(1024), "values": values});
        lines += &format!("{row}\n");
    }
    agent
        .run(
            "observe",
            &["--stdin", "--queue-max-rows", "40"],
            Some(lines.as_bytes()),
        )?
        .success()?;
    agent.sync_once()?.success()?;
    assert_eq!(agent.pending()?, 0);
    assert_eq!(world.gateway.observations("buoy-17")?.len(), 40);
    let too_large = world
        .gateway
        .metric("apollo_gateway_requests_total", "code=\"413\"")?;
    ensure!(too_large > 0.0, "reports were never too large: nothing was shown");
    Ok(())
}
