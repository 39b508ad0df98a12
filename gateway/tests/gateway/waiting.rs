//! `?wait=`: held while nothing changes, answered within a second of a change.

use std::time::{Duration, Instant};

use crate::{client::Client, fixture::Fixture};

#[tokio::test]
async fn a_held_poll_wakes_within_a_second_of_a_change() {
    let fixture = Fixture::start().await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    let etag = device.get("/v1/desired", &[]).await.headers["etag"]
        .to_str()
        .unwrap()
        .to_owned();
    let mut poll = std::pin::pin!(async {
        let answer = device
            .get("/v1/desired?wait=30", &[("if-none-match", &etag)])
            .await;
        (answer, Instant::now())
    });
    // Another device's change leaves it waiting.
    fixture.apply("other", "buoy-18", "/bin/true").await;
    assert!(
        tokio::time::timeout(Duration::from_millis(700), &mut poll)
            .await
            .is_err()
    );
    let changed = Instant::now();
    fixture.apply("collector", "buoy-17", "/bin/true").await;
    let (answer, answered) = poll.await;
    assert_eq!(answer.status, 200);
    assert_ne!(answer.headers["etag"], etag.as_str());
    assert!(
        answered - changed < Duration::from_secs(1),
        "{:?}",
        answered - changed
    );
}

#[tokio::test]
async fn a_held_poll_ends_with_304_when_its_time_is_over() {
    let fixture = Fixture::start().await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    let etag = device.get("/v1/desired", &[]).await.headers["etag"]
        .to_str()
        .unwrap()
        .to_owned();
    let began = Instant::now();
    let answer = device
        .get("/v1/desired?wait=1", &[("if-none-match", &etag)])
        .await;
    assert_eq!(answer.status, 304);
    assert!(began.elapsed() >= Duration::from_secs(1));
}
