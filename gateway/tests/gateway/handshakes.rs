//! Handshakes are counted by what they were.

use crate::{
    client::{Client, tls},
    fixture::{Fixture, until},
};

/// Enough that one counted wrongly because a task ran late would be seen.
const CONNECTIONS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_ticket_a_handshake_is_full_and_with_one_resumed() {
    let fixture = Fixture::start().await;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let config = tls(&fixture.authority, Some(&fixture.device("buoy-17")));
        for _ in 0..2 {
            let mut client = Client::connect_with(config.clone(), fixture.udp).await.unwrap();
            // The ticket comes before this answer.
            assert_eq!(client.get("/v1/desired", &[]).await.status, 200);
            clients.push(client);
        }
    }
    let count = |metrics: &str, kind: &str| {
        let name = format!("apollo_gateway_handshakes_total{{kind=\"{kind}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |count| count.parse::<usize>().unwrap())
    };
    until(async || {
        let (_, metrics) = fixture.admin_get("/metrics").await;
        count(&metrics, "full") + count(&metrics, "resumed") + count(&metrics, "early") == 2 * CONNECTIONS
    })
    .await;
    let (_, metrics) = fixture.admin_get("/metrics").await;
    assert_eq!(
        (count(&metrics, "full"), count(&metrics, "resumed")),
        (CONNECTIONS, CONNECTIONS)
    );
}
