//! The admin port: the read API, and what it bears.

use std::time::Duration;

use apollo_gateway::manifest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::fixture::{Fixture, PATIENCE};

#[tokio::test]
async fn a_list_has_100_objects_unless_asked_for_more_and_1000_at_most() {
    let fixture = Fixture::start().await;
    let process = |number: usize| {
        let object = serde_json::json!({
            "apiVersion": "apollo.azure.com/v1alpha1", "kind": "DeviceProcess",
            "metadata": {"name": format!("process-{number}"), "namespace": "default"},
            "spec": {"deviceRef": {"name": format!("buoy-{}", number % 2)}, "command": ["/bin/true"]},
        });
        let Ok(manifest) = manifest::check_object(&object, None) else {
            panic!("a good manifest")
        };
        manifest
    };
    fixture
        .store
        .apply((0..1_002).map(process).collect())
        .await
        .unwrap();
    let listed = async |query: &str| {
        let (status, body) = fixture
            .admin_get(&format!("/api/v1/deviceprocesses{query}"))
            .await;
        let list: Result<serde_json::Value, _> = serde_json::from_str(&body);
        (
            status,
            list.map_or(0, |list| list["items"].as_array().unwrap().len()),
        )
    };
    assert_eq!(listed("").await, (200, 100));
    assert_eq!(listed("?limit=1000").await, (200, 1_000));
    assert_eq!(listed("?limit=1000&device=buoy-1").await, (200, 501));
    for refused in ["?limit=1001", "?limit=0", "?limit=-1", "?device=Buoy"] {
        assert_eq!(listed(refused).await, (400, 0), "{refused}");
    }
}

/// Of the page's table of limits.
const CONNECTIONS: usize = 64;
const HEADER_BYTES: usize = 16 * 1024;

#[tokio::test]
async fn connections_past_the_bound_wait_until_one_ends() {
    let fixture = Fixture::start().await;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(TcpStream::connect(fixture.admin).await.unwrap());
    }
    let mut waiting = std::pin::pin!(fixture.admin_get("/healthz"));
    // Connections are taken up in the order they came, and these say nothing.
    assert!(
        tokio::time::timeout(Duration::from_millis(500), &mut waiting)
            .await
            .is_err(),
        "one more was served"
    );
    held.pop();
    assert_eq!(waiting.await.0, 200);
}

/// Takes as long as headers may: 10 s.
#[tokio::test]
async fn slow_and_large_headers_are_cut_off() {
    let fixture = Fixture::start().await;
    let answer = async |head: &[u8]| {
        let mut stream = TcpStream::connect(fixture.admin).await.unwrap();
        let _ = stream.write_all(head).await;
        let mut answer = Vec::new();
        // A reset is an end too.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .expect("the connection ends");
        String::from_utf8(answer).unwrap()
    };
    let large = format!(
        "GET /healthz HTTP/1.1\r\nhost: gateway\r\nx: {}\r\n\r\n",
        "x".repeat(HEADER_BYTES)
    );
    for head in ["GET /healthz HTTP/1.1\r\nhost: ga", large.as_str()] {
        let answer = answer(head.as_bytes()).await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }
}
