//! 0-RTT: answered before the handshake is over, and harmless when it comes twice.

use apollo_wire::binary;
use bytes::Bytes;

use crate::{
    client::{Client, endpoint, tls},
    fixture::{Fixture, report_of, until},
};

#[tokio::test]
async fn a_report_in_early_data_is_served_and_a_repeated_frame_changes_nothing() {
    let fixture = Fixture::start().await;
    fixture.apply("collector", "buoy-17", "/bin/true").await;
    let config = tls(&fixture.authority, Some(&fixture.device("buoy-17")));
    let frame = Bytes::from(binary::encode_report(&report_of("default/collector", 1)));
    let mut first = Client::connect_with(config.clone(), fixture.udp).await.unwrap();
    let answer = first.post(&[], frame.clone()).await;
    assert_eq!(binary::decode_verdicts(&answer.body).unwrap().accepted, 1);
    drop(first);

    let endpoint = endpoint();
    let connecting = endpoint.connect_with(config, fixture.udp, "localhost").unwrap();
    let Ok((connection, accepted)) = connecting.into_0rtt() else {
        panic!("a ticket for early data")
    };
    let mut again = Client::over(connection, endpoint).await;
    let answer = again.post(&[], frame).await;
    assert!(accepted.await, "the gateway took the early data");
    let verdicts = binary::decode_verdicts(&answer.body).unwrap();
    assert_eq!((verdicts.accepted, verdicts.duplicates), (0, 1));
    until(async || {
        let (_, metrics) = fixture.admin_get("/metrics").await;
        metrics.contains("handshakes_total{kind=\"full\"} 1")
            && metrics.contains("handshakes_total{kind=\"early\"} 1")
    })
    .await;
}
