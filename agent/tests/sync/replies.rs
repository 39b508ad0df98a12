//! Each kind of answer, and of silence.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use apollo_agent::client::{ExchangeReply, ExchangeRequest, Poll};
use apollo_agent_core::engine::{DesiredOutcome, FailureKind};
use apollo_wire::{DesiredState, InstanceId, Report, UnixMillis, binary};
use bytes::Bytes;

use crate::fake_gateway::{FakeGateway, LIMITS, Pki, Script, Seen, accept_all, agreeable};

pub(crate) fn request(etag: Option<&str>) -> ExchangeRequest {
    let report = Report::empty(
        InstanceId::from_bytes([7; 16]),
        UnixMillis::saturating(1_764_000_000_000),
    );
    let report = Bytes::from(binary::encode_report(&report));
    let poll = Poll {
        etag: etag.map(str::to_owned),
    };
    ExchangeRequest {
        report: Box::new(move || report.clone()),
        poll: Some(poll),
    }
}

async fn exchange(handler: impl Fn(&Seen) -> Script + Send + Sync + 'static) -> ExchangeReply {
    let pki = Pki::new();
    let gateway = FakeGateway::start(&pki, Arc::new(handler));
    gateway
        .client(&pki.device("buoy-1"))
        .exchange(&request(None))
        .await
}

fn report_with(script: Script) -> impl Fn(&Seen) -> Script + Send + Sync + 'static {
    move |seen| {
        if seen.path == "/v1/report" {
            script.clone()
        } else {
            Script::Reply(304, &[], Bytes::new())
        }
    }
}

fn poll_with(script: Script) -> impl Fn(&Seen) -> Script + Send + Sync + 'static {
    move |seen| {
        if seen.path == "/v1/desired" {
            script.clone()
        } else {
            agreeable(seen)
        }
    }
}

fn kind(reply: &ExchangeReply) -> FailureKind {
    reply.report.as_ref().expect_err("a failure").kind
}

#[tokio::test]
async fn requests_carry_no_header_but_the_etag() {
    let pki = Pki::new();
    let gateway = FakeGateway::start(&pki, Arc::new(agreeable));
    let mut client = gateway.client(&pki.device("buoy-1"));
    let reply = client.exchange(&request(Some("\"abc\""))).await;
    assert!(
        reply.report.is_ok() && matches!(reply.desired, DesiredOutcome::NotModified),
        "{reply:?}"
    );
    let (report, poll) = (
        &gateway.requests("/v1/report")[0],
        &gateway.requests("/v1/desired")[0],
    );
    assert_eq!((report.method.as_str(), report.headers.len()), ("POST", 0));
    assert_eq!((poll.method.as_str(), poll.headers.len()), ("GET", 1));
    assert_eq!(poll.headers["if-none-match"], "\"abc\"");
}

#[tokio::test]
async fn a_304_without_an_etag_is_not_modified() {
    let reply = exchange(poll_with(Script::Reply(304, &[], Bytes::new()))).await;
    assert!(matches!(reply.desired, DesiredOutcome::NotModified), "{reply:?}");
}

#[tokio::test]
async fn a_document_comes_with_its_etag() {
    let desired = DesiredState {
        device: "buoy-1".parse().unwrap(),
        processes: vec![],
    };
    let body: Bytes = binary::encode_desired(&desired).into();
    let reply = exchange(poll_with(Script::Reply(200, &[("etag", "\"v1\"")], body))).await;
    let DesiredOutcome::Changed(document) = reply.desired else {
        panic!("{reply:?}")
    };
    assert_eq!(
        (document.etag.as_deref(), document.desired),
        (Some("\"v1\""), desired)
    );
}

#[tokio::test]
async fn refusals_keep_their_status_and_retry_after() {
    let reply = exchange(report_with(Script::Reply(
        503,
        &[("retry-after", "17")],
        Bytes::new(),
    )))
    .await;
    let failure = reply.report.unwrap_err();
    assert_eq!(
        (failure.kind, failure.retry_after),
        (FailureKind::Status(503), Some(Duration::from_secs(17)))
    );
    assert_eq!(
        kind(&exchange(report_with(Script::Reply(413, &[], Bytes::new()))).await),
        FailureKind::TooLarge
    );
    assert_eq!(
        kind(&exchange(report_with(Script::Reply(401, &[], Bytes::new()))).await),
        FailureKind::Status(401)
    );
}

#[tokio::test]
async fn a_403_with_verdicts_is_verdicts() {
    let reply = exchange(|seen: &Seen| match seen.path.as_str() {
        "/v1/report" => {
            let report = binary::decode_report(&seen.body).unwrap();
            Script::Reply(403, &[], binary::encode_verdicts(&accept_all(&report)).into())
        }
        _ => Script::Reply(304, &[], Bytes::new()),
    });
    assert!(reply.await.report.is_ok());
}

#[tokio::test]
async fn garbage_is_malformed_and_the_other_answer_still_counts() {
    let reply = exchange(report_with(Script::Reply(
        200,
        &[],
        Bytes::from_static(b"\x01garbage"),
    )))
    .await;
    assert_eq!(kind(&reply), FailureKind::Malformed);
    assert!(matches!(reply.desired, DesiredOutcome::NotModified));
}

#[tokio::test]
async fn a_reply_at_the_limit_is_read_and_one_byte_more_is_refused() {
    let of = |bytes: usize| report_with(Script::Reply(500, &[], vec![b'x'; bytes].into()));
    assert_eq!(
        kind(&exchange(of(LIMITS.verdicts_bytes)).await),
        FailureKind::Status(500)
    );
    assert_eq!(
        kind(&exchange(of(LIMITS.verdicts_bytes + 1)).await),
        FailureKind::Malformed
    );
}

#[tokio::test]
async fn a_stalled_answer_is_given_up_in_time_and_the_other_one_counts() {
    for script in [Script::Stall, Script::StallInBody] {
        let started = Instant::now();
        let reply = exchange(report_with(script.clone())).await;
        assert_eq!(kind(&reply), FailureKind::Interrupted);
        assert!(matches!(reply.desired, DesiredOutcome::NotModified));
        assert!(started.elapsed() < LIMITS.silence * 6, "{:?}", started.elapsed());
        let reply = exchange(poll_with(script)).await;
        assert!(
            reply.report.is_ok() && matches!(reply.desired, DesiredOutcome::Failed(_)),
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn after_a_stalled_answer_the_same_connection_goes_on() {
    let pki = Pki::new();
    let gateway = FakeGateway::start(&pki, Arc::new(poll_with(Script::StallInBody)));
    let mut client = gateway.client(&pki.device("buoy-1"));
    for _ in 0..3 {
        assert!(client.exchange(&request(None)).await.report.is_ok());
    }
    assert_eq!(gateway.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_closed_in_the_middle_is_a_failure_and_no_panic() {
    assert_eq!(
        kind(&exchange(|_: &Seen| Script::Hang).await),
        FailureKind::Interrupted
    );
}

#[tokio::test]
async fn a_gateway_that_grants_too_few_streams_is_given_up_in_time() {
    let pki = Pki::new();
    for (streams, answers) in [(2, false), (3, true)] {
        let gateway = FakeGateway::start_granting(streams, &pki, Arc::new(agreeable));
        let mut client = gateway.client(&pki.device("buoy-1"));
        let exchange = tokio::time::timeout(LIMITS.connect_timeout * 3, async {
            client.exchange(&request(None)).await
        });
        let reply = exchange.await.expect("it ends in time");
        assert_eq!(reply.report.is_ok(), answers, "{streams}: {reply:?}");
    }
}
