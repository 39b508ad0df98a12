//! Every status code of the API, and that none of them ends the connection.

use std::io::Write;

use apollo_gateway::config::Register;
use apollo_wire::{binary, json};
use bytes::Bytes;

use crate::{
    client::{Client, read_answer},
    fixture::{Fixture, MAX_BODY, empty_report, report_of, until},
};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn reports_are_answered_in_the_form_they_came_in() {
    let fixture = Fixture::start().await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    let answer = device
        .post(&[], binary::encode_report(&report_of("default/x", 1)))
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.headers.len()),
        (200, 0),
        "no header that costs bytes"
    );
    let verdicts = binary::decode_verdicts(&answer.body).unwrap();
    assert_eq!(
        (verdicts.epoch, verdicts.orphaned, verdicts.highest_sequence),
        (1, 1, 1)
    );
    let answer = device
        .post(&[JSON], json::encode_report(&report_of("default/x", 1)))
        .await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(json::decode_verdicts(&answer.body).unwrap().duplicates, 1);
    let answer = device
        .post(&[("accept", "*/*")], binary::encode_report(&empty_report()))
        .await;
    assert!(json::decode_verdicts(&answer.body).is_ok());
}

#[tokio::test]
async fn each_mistake_has_its_code_and_the_connection_lives_on() {
    let fixture = Fixture::start().await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    let report = Bytes::from(json::encode_report(&empty_report()));
    let mut check =
        async |method: &str, path: &str, headers: &[(&str, &str)], body: Option<Bytes>, code: u16| {
            let answer = device.try_send(method, path, headers, body).await.unwrap();
            assert_eq!(answer.status, code, "{method} {path} {headers:?}");
            if code >= 400 {
                let problem = json::decode_problem(&answer.body).unwrap();
                assert_eq!(problem.status, code);
                assert_eq!(answer.headers["content-type"], "application/problem+json");
            }
            answer
        };
    check("POST", "/v1/report", &[JSON], Some("{".into()), 400).await;
    check("POST", "/v1/report", &[], Some("\u{7}".into()), 400).await;
    check("POST", "/v1/report", &[], None, 400).await;
    let cut = [JSON, ("content-length", "4000")];
    check("POST", "/v1/report", &cut, Some(report.clone()), 400).await;
    check("GET", "/v1/desired?wait=soon", &[], None, 400).await;
    check("GET", "/v2/report", &[], None, 404).await;
    let answer = check("GET", "/v1/report", &[], None, 405).await;
    assert_eq!(answer.headers["allow"], "POST");
    let answer = check("POST", "/v1/desired", &[], Some(report.clone()), 405).await;
    assert_eq!(answer.headers["allow"], "GET");
    check("HEAD", "/v1/desired", &[], None, 405).await;
    check(
        "POST",
        "/v1/report",
        &[JSON, ("accept", "text/html")],
        Some(report.clone()),
        406,
    )
    .await;
    check("GET", "/v1/desired", &[("accept", "image/png")], None, 406).await;
    check(
        "POST",
        "/v1/report",
        &[("content-type", "text/plain")],
        Some(report.clone()),
        415,
    )
    .await;
    check(
        "POST",
        "/v1/report",
        &[JSON, ("content-encoding", "br")],
        Some(report.clone()),
        415,
    )
    .await;
    check(
        "POST",
        "/v1/report",
        &[("content-encoding", "gzip")],
        Some(report.clone()),
        415,
    )
    .await;
    check("POST", "/v1/report", &[JSON], Some(report), 200).await;
}

/// JSON of exactly this size: a report and spaces.
fn padded(bytes: usize) -> Vec<u8> {
    let mut body = json::encode_report(&empty_report());
    body.resize(bytes, b' ');
    body
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_body_at_the_limit_passes_and_one_past_is_413_announced_or_not_or_compressed() {
    let fixture = Fixture::start().await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    for (size, code) in [(MAX_BODY, 200), (MAX_BODY + 1, 413)] {
        let length = size.to_string();
        let announced = device
            .post(&[JSON, ("content-length", &length)], padded(size))
            .await;
        assert_eq!(announced.status, code, "announced {size}");
        assert_eq!(
            device.post(&[JSON], padded(size)).await.status,
            code,
            "not announced {size}"
        );
        let packed = device
            .post(&[JSON, ("content-encoding", "gzip")], gzip(&padded(size)))
            .await;
        assert_eq!(packed.status, code, "gzip {size}");
        let packed = zstd::bulk::compress(&padded(size), 3).unwrap();
        let packed = device.post(&[JSON, ("content-encoding", "zstd")], packed).await;
        assert_eq!(packed.status, code, "zstd {size}");
    }
    let bomb = gzip(&vec![b' '; 4 * 1024 * 1024]);
    assert!(bomb.len() <= MAX_BODY + 100);
    let answer = device.post(&[JSON, ("content-encoding", "gzip")], bomb).await;
    assert_eq!(answer.status, 413);
}

/// A zstd frame (RFC 8878, section 3.1.1) of one raw block that asks for a window of 2^`window_log` bytes.
fn zstd_frame(window_log: u8, body: &[u8]) -> Vec<u8> {
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    // No flags; the exponent of the window descriptor counts from 10.
    let header = [0, (window_log - 10) << 3];
    // The last block, raw.
    let block = u32::try_from(body.len()).unwrap() << 3 | 1;
    [&magic[..], &header, &block.to_le_bytes()[..3], body].concat()
}

#[tokio::test]
async fn a_zstd_body_may_ask_for_a_window_of_8_mib_and_not_more() {
    let fixture = Fixture::start().await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    for (window_log, code) in [(23, 200), (24, 400)] {
        let body = zstd_frame(window_log, &json::encode_report(&empty_report()));
        let answer = device.post(&[JSON, ("content-encoding", "zstd")], body).await;
        assert_eq!(answer.status, code, "a window of 2^{window_log} bytes");
    }
}

#[tokio::test]
async fn an_announced_excess_is_refused_before_the_body_comes() {
    let fixture = Fixture::start().await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    let request = http::Request::post("https://localhost/v1/report").header("content-length", "1000000000");
    let mut stream = device
        .http3
        .send_request(request.body(()).unwrap())
        .await
        .unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap().status, 413);
    assert_eq!(device.get("/v1/desired", &[]).await.status, 200);
}

#[tokio::test]
async fn an_unregistered_device_gets_403_where_an_operator_registers_devices() {
    let fixture = Fixture::start_with(|config| config.register = Register::Manual).await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    let answer = device.post(&[], binary::encode_report(&empty_report())).await;
    assert_eq!(answer.status, 403);
    assert!(
        json::decode_problem(&answer.body)
            .unwrap()
            .detail
            .contains("not registered")
    );
}

#[tokio::test]
async fn another_devices_process_gets_403_with_verdicts_and_is_counted() {
    let fixture = Fixture::start().await;
    fixture.apply("collector", "buoy-18", "/bin/true").await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    let report = json::encode_report(&report_of("default/collector", 1));
    let answer = device.post(&[JSON], report).await;
    assert_eq!(answer.status, 403);
    let verdicts = json::decode_verdicts(&answer.body).unwrap();
    assert_eq!(verdicts.rejected[0].reason.as_str(), "NotBound");
    let (_, metrics) = fixture.admin_get("/metrics").await;
    assert!(
        metrics.contains("apollo_gateway_rejections_total{reason=\"NotBound\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("apollo_gateway_requests_total{route=\"report\",code=\"403\"} 1"),
        "{metrics}"
    );
    assert!(!metrics.contains("buoy"), "no device is a label");
}

#[tokio::test]
async fn an_unchanged_poll_is_304_with_its_etag() {
    let fixture = Fixture::start().await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    let fresh = device.get("/v1/desired", &[]).await;
    let etag = fresh.headers["etag"].to_str().unwrap().to_owned();
    assert!(binary::decode_desired(&fresh.body).unwrap().processes.is_empty());
    let unchanged = device.get("/v1/desired", &[("if-none-match", &etag)]).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.headers["etag"], etag.as_str());
    fixture.apply("collector", "buoy-17", "/bin/true").await;
    until(async || {
        device
            .get("/v1/desired", &[("if-none-match", &etag)])
            .await
            .status
            == 200
    })
    .await;
}

#[tokio::test]
async fn the_read_api_and_the_dashboard_show_what_is_stored() {
    let fixture = Fixture::start().await;
    fixture.apply("collector", "buoy-17", "/bin/true").await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    device
        .post(&[], binary::encode_report(&report_of("default/collector", 1)))
        .await;
    let json = async |path: &str| -> serde_json::Value {
        let (status, body) = fixture.admin_get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    };
    assert_eq!(
        json("/api/v1/devices").await["items"][0]["metadata"]["name"],
        "buoy-17"
    );
    assert_eq!(
        json("/api/v1/deviceprocesses").await["items"][0]["status"]["state"],
        "Running"
    );
    assert_eq!(
        json("/api/v1/observations?device=buoy-17&limit=5").await[0]["seq"],
        1
    );
    assert_eq!(fixture.admin_get("/api/v1/observations?limit=1001").await.0, 400);
    assert!(
        fixture
            .admin_get("/")
            .await
            .1
            .contains("<title>Apollo gateway</title>")
    );
}

#[tokio::test]
async fn a_device_with_too_many_reports_under_way_gets_429_until_one_ends() {
    let fixture = Fixture::start().await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    let mut open = Vec::new();
    for _ in 0..apollo_gateway::service::slots::REPORTS_PER_DEVICE {
        let request = http::Request::post("https://localhost/v1/report")
            .body(())
            .unwrap();
        open.push(device.http3.send_request(request).await.unwrap());
    }
    let frame = binary::encode_report(&empty_report());
    // The open ones are taken up in tasks of their own; when all are, there is no place left.
    until(async || device.post(&[], frame.clone()).await.status == 429).await;
    let answer = device.post(&[], frame.clone()).await;
    assert_eq!(answer.headers["retry-after"], "2");
    assert_eq!(
        Client::connect(&fixture, "buoy-18")
            .await
            .post(&[], frame.clone())
            .await
            .status,
        200
    );
    let mut first = open.remove(0);
    first.finish().await.unwrap();
    assert_eq!(
        read_answer(&mut first).await.unwrap().status,
        400,
        "an empty body is no frame"
    );
    until(async || device.post(&[], frame.clone()).await.status == 200).await;
}
