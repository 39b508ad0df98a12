//! Certificates expire while connections live on: TLS looks at a certificate once, the gateway at every request.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apollo_gateway::pki::Issued;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};

use crate::{
    client::{Answer, Client, tls},
    fixture::{Fixture, until},
};

/// Long enough for a few handshakes on a loaded machine, short enough to wait for its end.
const VALID_FOR: Duration = Duration::from_secs(6);

/// A certificate of `buoy-17` that is good for [`VALID_FOR`].
fn short_lived(fixture: &Fixture) -> Issued {
    let ca_key = KeyPair::from_pem(&fixture.authority.key_pem).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&fixture.authority.certificate_pem, ca_key).unwrap();
    let mut params = CertificateParams::default();
    let name = "spiffe://apollo/device/buoy-17".try_into().unwrap();
    params.subject_alt_names = vec![SanType::URI(name)];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    params.not_before = rcgen::date_time_ymd(1970, 1, 1);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + now + VALID_FOR;
    let key = KeyPair::generate().unwrap();
    Issued {
        certificate_pem: params.signed_by(&key, &issuer).unwrap().pem(),
        key_pem: key.serialize_pem(),
    }
}

fn tells_of_the_expiry(answer: &Answer) -> bool {
    answer.status == 401 && String::from_utf8_lossy(&answer.body).contains("expired")
}

#[tokio::test]
async fn a_certificate_that_expires_gets_401_on_an_open_connection_and_on_a_resumed_one() {
    let fixture = Fixture::start().await;
    let config = tls(&fixture.authority, Some(&short_lived(&fixture)));
    let mut open = Client::connect_with(config.clone(), fixture.udp).await.unwrap();
    assert_eq!(open.get("/v1/desired", &[]).await.status, 200);
    until(async || open.get("/v1/desired", &[]).await.status != 200).await;
    assert!(tells_of_the_expiry(&open.get("/v1/desired", &[]).await));
    // A resumed session does not show the certificate again, so nothing in TLS looks at it.
    let mut resumed = Client::connect_with(config, fixture.udp).await.unwrap();
    assert!(tells_of_the_expiry(&resumed.get("/v1/desired", &[]).await));
    let (_, metrics) = fixture.admin_get("/metrics").await;
    assert!(
        metrics.contains("apollo_gateway_handshakes_total{kind=\"resumed\"} 1"),
        "{metrics}"
    );
}
