//! TLS to the server, always verified.

use std::path::PathBuf;

use anyhow::Result;
use apollo_gateway::pki;
use apollo_tests::harness::{PostgresOptions, Sandbox};

use crate::{
    server::{Server, appended, open, rows},
    store_values::append,
};

/// An authority, and a certificate of it for `localhost`, as files.
fn identity(sandbox: &Sandbox, name: &str) -> Result<(PathBuf, PathBuf, PathBuf)> {
    let today = jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date();
    let authority = pki::authority(today)?;
    let server = pki::gateway(&authority, &["localhost".to_owned()], today)?;
    Ok((
        sandbox.write(&format!("{name}-ca.pem"), &authority.certificate_pem)?,
        sandbox.write(&format!("{name}.pem"), &server.certificate_pem)?,
        sandbox.write(&format!("{name}.key"), &server.key_pem)?,
    ))
}

/// P-08: TLS is used where the URL says so, and a server that another authority vouches for is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p08_the_servers_certificate_is_verified() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let (authority, certificate, key) = identity(&sandbox, "server")?;
    let (other_authority, ..) = identity(&sandbox, "other")?;
    let options = PostgresOptions {
        tls: Some((certificate, key)),
        ..PostgresOptions::default()
    };
    let Some(server) = Server::start_with("TLS", options)? else {
        return Ok(());
    };
    let url = server.postgres.url();
    let with =
        |mode: &str, authority: &PathBuf| format!("{url}?sslmode={mode}&sslrootcert={}", authority.display());
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE application_name = 'apollo-gateway'";
    for mode in ["require", "prefer"] {
        let history = open(&with(mode, &authority), None).await?;
        appended(history.execute(append("buoy", 1, rows([1]))).await);
        assert_eq!(server.postgres.psql(encrypted)?, "t", "{mode}");
        let refused = open(&with(mode, &other_authority), None).await.err().unwrap();
        let said = format!("{:#}", anyhow::Error::from(refused));
        assert!(said.contains("TLS") && said.contains("certificate"), "{said}");
    }
    let by_address = with("require", &authority).replace("localhost", "127.0.0.1");
    assert!(
        open(&by_address, None).await.is_err(),
        "the certificate names localhost alone"
    );
    let plain = open(&with("disable", &authority), None).await?;
    appended(plain.execute(append("buoy", 1, rows([1]))).await);
    assert_eq!(server.postgres.psql(encrypted)?, "f");
    Ok(())
}
