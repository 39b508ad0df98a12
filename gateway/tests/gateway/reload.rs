//! New PEM files come into force while connections live on; a new authority ends the trust in the old one's devices.

use apollo_gateway::pki;

use crate::{
    client::{Client, tls},
    fixture::{Fixture, today, until},
};

/// Replaces a file in one step, as a careful operator does.
fn replace(fixture: &Fixture, name: &str, content: &str) {
    let (file, new) = (fixture.dir.path().join(name), fixture.dir.path().join("new"));
    std::fs::write(&new, content).unwrap();
    std::fs::rename(new, file).unwrap();
}

#[tokio::test]
async fn a_new_authority_is_taken_up_and_the_old_ones_devices_are_refused() {
    let fixture = Fixture::start().await;
    let mut old = Client::connect(&fixture, "buoy-17").await;
    assert_eq!(old.get("/v1/desired", &[]).await.status, 200);
    // Nonsense first: the old files stay in force.
    replace(&fixture, "ca.pem", "nonsense");
    let new_authority = pki::authority(today()).unwrap();
    let new_device = pki::device(&new_authority, &"buoy-18".parse().unwrap(), today()).unwrap();
    assert_eq!(old.get("/v1/desired", &[]).await.status, 200);
    replace(&fixture, "ca.pem", &new_authority.certificate_pem);
    // The same connection, without a new handshake.
    until(async || old.get("/v1/desired", &[]).await.status == 401).await;
    let config = tls(&fixture.authority, Some(&new_device));
    let mut new = Client::connect_with(config, fixture.udp).await.unwrap();
    assert_eq!(new.get("/v1/desired", &[]).await.status, 200);
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let fixture = Fixture::start().await;
    let mut old = Client::connect(&fixture, "buoy-17").await;
    let renewed = pki::gateway(
        &fixture.authority,
        &["localhost".into(), "renewed".into()],
        today(),
    )
    .unwrap();
    replace(&fixture, "gateway.key", &renewed.key_pem);
    replace(&fixture, "gateway.pem", &renewed.certificate_pem);
    until(async || {
        let endpoint = crate::client::endpoint();
        let config = tls(&fixture.authority, Some(&fixture.device("buoy-18")));
        let connecting = endpoint.connect_with(config, fixture.udp, "renewed").unwrap();
        connecting.await.is_ok()
    })
    .await;
    assert_eq!(old.get("/v1/desired", &[]).await.status, 200);
}

#[tokio::test]
async fn no_session_of_the_old_authority_is_resumed() {
    let fixture = Fixture::start().await;
    let config = tls(&fixture.authority, Some(&fixture.device("buoy-17")));
    let mut old = Client::connect_with(config.clone(), fixture.udp).await.unwrap();
    // The ticket comes before this answer.
    assert_eq!(old.get("/v1/desired", &[]).await.status, 200);
    let new_authority = pki::authority(today()).unwrap();
    replace(&fixture, "ca.pem", &new_authority.certificate_pem);
    until(async || old.get("/v1/desired", &[]).await.status == 401).await;
    // Resumed, the handshake would bring the old identity along; made anew, it fails.
    let refused = match Client::connect_with(config, fixture.udp).await {
        Err(_) => true,
        Ok(mut again) => again.try_send("GET", "/v1/desired", &[], None).await.is_err(),
    };
    assert!(refused, "a session outlived the authority that stood for it");
}
