//! Who is let in: exactly one device name, from a certificate the authority stands for.

use apollo_gateway::pki;
use apollo_wire::binary;

use crate::{
    client::{Client, tls},
    fixture::{Fixture, empty_report, today},
};

#[tokio::test]
async fn a_device_is_who_its_certificate_says() {
    let fixture = Fixture::start().await;
    fixture.apply("collector", "buoy-17", "/bin/true").await;
    let mut device = Client::connect(&fixture, "buoy-17").await;
    let json = [("accept", "application/json")];
    crate::fixture::until(async || {
        let answer = device.get("/v1/desired", &json).await;
        let desired: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(desired["device"], "buoy-17");
        desired["processes"].as_array().unwrap().len() == 1
    })
    .await;
    assert!(
        fixture
            .admin_get("/metrics")
            .await
            .1
            .contains("apollo_gateway_connections 1")
    );
    let mut other = Client::connect(&fixture, "buoy-18").await;
    let desired: serde_json::Value =
        serde_json::from_slice(&other.get("/v1/desired", &json).await.body).unwrap();
    assert_eq!(desired, serde_json::json!({"device": "buoy-18", "processes": []}));
}

#[tokio::test]
async fn without_a_certificate_or_with_a_strangers_there_is_no_connection() {
    let fixture = Fixture::start().await;
    let stranger = pki::authority(today()).unwrap();
    let strange_device = pki::device(&stranger, &"buoy-17".parse().unwrap(), today()).unwrap();
    for identity in [None, Some(&strange_device)] {
        let config = tls(&fixture.authority, identity);
        // TLS 1.3 tells the client after it believes to be connected: the first request finds out.
        let refused = match Client::connect_with(config, fixture.udp).await {
            Err(_) => true,
            Ok(mut client) => client.try_send("GET", "/v1/desired", &[], None).await.is_err(),
        };
        assert!(refused);
    }
}

#[tokio::test]
async fn a_certificate_without_a_device_name_gets_401_and_the_connection_lives() {
    let fixture = Fixture::start().await;
    // A gateway's own kind of certificate, but for clients: no spiffe URI.
    let nobody = {
        use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
        let ca_key = KeyPair::from_pem(&fixture.authority.key_pem).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&fixture.authority.certificate_pem, ca_key).unwrap();
        let mut params = CertificateParams::new(vec!["nobody".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        pki::Issued {
            certificate_pem: params.signed_by(&key, &issuer).unwrap().pem(),
            key_pem: key.serialize_pem(),
        }
    };
    let config = tls(&fixture.authority, Some(&nobody));
    let mut client = Client::connect_with(config, fixture.udp).await.unwrap();
    for _ in 0..2 {
        let answer = client.post(&[], binary::encode_report(&empty_report())).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert!(String::from_utf8_lossy(&answer.body).contains("URI SAN"));
    }
}
