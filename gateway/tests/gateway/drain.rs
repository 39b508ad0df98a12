//! Draining: not ready, held polls answered, GOAWAY, and an end within the grace.

use std::time::{Duration, Instant};

use crate::{
    client::{Client, tls},
    fixture::{Fixture, until},
};

#[tokio::test]
async fn a_drain_answers_held_polls_says_not_ready_and_ends() {
    let mut fixture = Fixture::start().await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    let etag = device.get("/v1/desired", &[]).await.headers["etag"]
        .to_str()
        .unwrap()
        .to_owned();
    let held = tokio::spawn(async move {
        let answer = device
            .get("/v1/desired?wait=600", &[("if-none-match", &etag)])
            .await;
        (answer, device)
    });
    // A second device shows that the gateway serves while the first one waits.
    let mut other = Client::connect(&fixture, "buoy-18").await;
    assert_eq!(other.get("/v1/desired", &[]).await.status, 200);
    let began = Instant::now();
    fixture.begin_drain();
    let (answer, _device) = held.await.unwrap();
    assert_eq!(answer.status, 304);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "held polls are let go at once"
    );
    let config = tls(&fixture.authority, Some(&fixture.device("buoy-19")));
    assert!(
        Client::connect_with(config, fixture.udp).await.is_err(),
        "nobody new is let in"
    );
    fixture.ended().await;
    assert!(began.elapsed() < Duration::from_secs(10), "well within the grace");
}

#[tokio::test]
async fn a_drain_is_not_held_up_by_a_request_that_never_ends() {
    let mut fixture = Fixture::start_with(|config| config.shutdown_grace = Duration::from_secs(2)).await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    let request = http::Request::post("https://localhost/v1/report")
        .body(())
        .unwrap();
    let _open = device.http3.send_request(request).await.unwrap();
    // An answered request after it shows that the open one has arrived too: streams are accepted in order.
    assert_eq!(device.get("/v1/desired", &[]).await.status, 200);
    let began = Instant::now();
    fixture.begin_drain();
    until(
        async || match tokio::net::TcpStream::connect(fixture.admin).await {
            Ok(_) => fixture.admin_get("/readyz").await.0 == 503,
            Err(_) => true,
        },
    )
    .await;
    fixture.ended().await;
    assert!(began.elapsed() < Duration::from_secs(5));
}
