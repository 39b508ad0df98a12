//! A report and a poll sent at once are answered at once.

use std::time::Duration;

use apollo_wire::binary;
use bytes::Bytes;

use crate::{
    client::{Client, read_answer},
    fixture::{Fixture, report_of},
};

/// Exchanges that may go apart: the machine that runs the test may keep the gateway's disk for longer than answers wait.
const APART_MAX: u32 = 2;
const EXCHANGES: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_304_comes_with_the_verdicts_of_the_report_sent_with_it() {
    let fixture = Fixture::start().await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    let nothing = device.get("/v1/desired", &[]).await.headers["etag"].clone();
    fixture.apply("collector", "buoy-17", "/bin/true").await;
    let changed = [("if-none-match", nothing.to_str().unwrap())];
    let etag = device.get("/v1/desired?wait=30", &changed).await.headers["etag"].clone();
    let mut apart = 0;
    for sequence in 1..=EXCHANGES {
        let frame = Bytes::from(binary::encode_report(&report_of("default/collector", sequence)));
        let request = |method: &str, path: &str| {
            http::Request::builder()
                .method(method)
                .uri(format!("https://localhost{path}"))
        };
        let report = request("POST", "/v1/report").body(()).unwrap();
        let poll = request("GET", "/v1/desired")
            .header("if-none-match", &etag)
            .body(())
            .unwrap();
        let mut report = device.http3.send_request(report).await.unwrap();
        report.send_data(frame).await.unwrap();
        report.finish().await.unwrap();
        let mut poll = device.http3.send_request(poll).await.unwrap();
        poll.finish().await.unwrap();
        let mut report = std::pin::pin!(read_answer(&mut report));
        let poll = tokio::select! {
            biased;
            early = &mut report => {
                // Both are there; this side took them one after the other.
                assert_eq!(binary::decode_verdicts(&early.unwrap().body).unwrap().accepted, 1);
                read_answer(&mut poll).await.unwrap()
            }
            poll = read_answer(&mut poll) => {
                apart += u32::from(tokio::time::timeout(Duration::ZERO, &mut report).await.is_err());
                poll.unwrap()
            }
        };
        assert_eq!((poll.status.as_u16(), &poll.headers["etag"]), (304, &etag));
    }
    assert!(
        apart <= APART_MAX,
        "{apart} of {EXCHANGES} polls did not wait for the report"
    );
}
