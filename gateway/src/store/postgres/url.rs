//! The URL of history: what `tokio-postgres` reads, and the parameters about TLS that it does not know.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres::config::{Config, Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{OpenHistoryError, UrlError};

/// Sent data that is not acknowledged for so long ends a connection: a server that vanished is given up soon after a
/// step's own limit has passed.
const UNACKNOWLEDGED_FOR: Duration = Duration::from_secs(10);
/// An idle connection is probed after so long: below the few minutes after which firewalls forget connections.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Larger than any bundle of authorities; guards against naming the wrong file.
const AUTHORITY_BYTES_MAX: u64 = 1024 * 1024;

/// Where history is and how to get there.
#[derive(Clone)]
pub(super) struct Target {
    /// What `tokio-postgres` connects with.
    pub config: Config,
    /// How to do TLS; `None` if never.
    pub tls: Option<MakeRustlsConnect>,
    /// Host, port and database, for messages: nothing secret.
    pub server: String,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.server).finish()
    }
}

/// What the parameters say about TLS.
#[derive(Debug, Default, PartialEq, Eq)]
struct TlsParameters {
    mode: Option<String>,
    authority: Option<PathBuf>,
}

/// Reads the URL and the authority's file. Blocks for as long as reading a file takes.
pub(super) fn target(url: &str) -> Result<Target, OpenHistoryError> {
    let (rest, parameters) = take_tls_parameters(url)?;
    let mut config: Config = rest.parse().map_err(|_| UrlError::Unreadable)?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(UrlError::Unreadable.into());
    }
    let (mode, authority) = mode(parameters)?;
    config
        .ssl_mode(mode)
        .tcp_user_timeout(UNACKNOWLEDGED_FOR)
        .keepalives_idle(KEEPALIVE_IDLE)
        // Of several hosts the one that can be written to.
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
    if config.get_application_name().is_none() {
        config.application_name("apollo-gateway");
    }
    let tls = authority.as_deref().map(connector).transpose()?;
    let server = server(&config);
    Ok(Target { config, tls, server })
}

/// The URL without the parameters that are read here, and those.
fn take_tls_parameters(url: &str) -> Result<(String, TlsParameters), UrlError> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(UrlError::Scheme);
    }
    // Up to the first `@` it is user and password, in which a `?` begins nothing.
    let credentials = url.find('@').unwrap_or(0);
    let parameters = url.get(credentials..).and_then(|rest| rest.find('?'));
    let Some((before, query)) = parameters.and_then(|at| url.split_at_checked(credentials + at)) else {
        return Ok((url.to_owned(), TlsParameters::default()));
    };
    let query = query.trim_start_matches('?');
    let mut taken = TlsParameters::default();
    let mut left = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=') {
            Some(("sslmode", mode)) => taken.mode = Some(mode.to_owned()),
            Some(("sslrootcert", path)) => {
                taken.authority = Some(percent_decoded(path).ok_or(UrlError::Unreadable)?.into());
            }
            _ => left.push(parameter),
        }
    }
    let rest = if left.is_empty() {
        before.to_owned()
    } else {
        format!("{before}?{}", left.join("&"))
    };
    Ok((rest, taken))
}

/// What is done about TLS. A certificate is always verified in full, so TLS needs an authority; an authority without a
/// mode means TLS.
fn mode(parameters: TlsParameters) -> Result<(SslMode, Option<PathBuf>), UrlError> {
    let mode = match (parameters.mode.as_deref(), &parameters.authority) {
        (Some("disable"), _) | (None, None) => return Ok((SslMode::Disable, None)),
        (Some("prefer"), _) => SslMode::Prefer,
        // The names that libpq has for less and for more than `require`: here it is always all of it.
        (Some("require" | "verify-ca" | "verify-full"), _) | (None, Some(_)) => SslMode::Require,
        (Some(_), _) => return Err(UrlError::SslMode),
    };
    match parameters.authority {
        Some(authority) => Ok((mode, Some(authority))),
        None => Err(UrlError::NoAuthority),
    }
}

/// TLS that trusts the authorities in a PEM file and nobody else.
fn connector(authority: &Path) -> Result<MakeRustlsConnect, OpenHistoryError> {
    let pem = read(authority).map_err(|source| OpenHistoryError::Authority {
        path: authority.to_owned(),
        source,
    })?;
    let none = || OpenHistoryError::NoCertificates(authority.to_owned());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(|_| none())?).map_err(|_| none())?;
    }
    if roots.is_empty() {
        return Err(none());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| none())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(AUTHORITY_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Host, port and database, for people.
fn server(config: &Config) -> String {
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    let mut hosts: Vec<String> = hosts.collect();
    if hosts.is_empty() {
        hosts = config.get_hostaddrs().iter().map(ToString::to_string).collect();
    }
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("{}:{port}/{database}", hosts.join(","))
}

/// `%XX` as bytes; none if that is no UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        target(url).expect_err("refused").to_string()
    }

    #[test]
    fn tls_is_what_the_url_says_and_never_unverified() {
        let parameters = |mode: Option<&str>, authority: Option<&str>| TlsParameters {
            mode: mode.map(str::to_owned),
            authority: authority.map(Into::into),
        };
        let authority = || Some(PathBuf::from("ca.pem"));
        for (given, expected) in [
            (parameters(None, None), Ok((SslMode::Disable, None))),
            (
                parameters(Some("disable"), Some("ca.pem")),
                Ok((SslMode::Disable, None)),
            ),
            (
                parameters(None, Some("ca.pem")),
                Ok((SslMode::Require, authority())),
            ),
            (
                parameters(Some("prefer"), Some("ca.pem")),
                Ok((SslMode::Prefer, authority())),
            ),
            (
                parameters(Some("require"), Some("ca.pem")),
                Ok((SslMode::Require, authority())),
            ),
            (
                parameters(Some("verify-full"), Some("ca.pem")),
                Ok((SslMode::Require, authority())),
            ),
            (parameters(Some("prefer"), None), Err(UrlError::NoAuthority)),
            (parameters(Some("require"), None), Err(UrlError::NoAuthority)),
            (parameters(Some("allow"), Some("ca.pem")), Err(UrlError::SslMode)),
        ] {
            assert_eq!(mode(given), expected);
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for url in [
            "mysql://u:secret@h/d",
            "postgres://u:secret@h:port/d",
            "postgres://u:secret@h/d?secret=1",
            "postgres://u:secret@h/d?sslmode=secret",
            "postgres://u:secret@h/d?sslmode=require",
            "postgres://u:secret@h/d?sslrootcert=%zz",
        ] {
            let said = refusal(url);
            assert!(
                said.starts_with("history: ") && !said.contains("secret"),
                "{said}"
            );
        }
    }

    #[test]
    fn the_target_is_named_without_user_and_password() {
        let target = target("postgres://u:secret@one:1,two:2/d?connect_timeout=3").expect("read");
        assert_eq!(target.server, "one,two:1/d");
        assert_eq!(format!("{target:?}"), "Target(\"one,two:1/d\")");
        let marked = super::target("postgres://u:sec?sslmode=secret@h/d?sslmode=disable").expect("read");
        assert_eq!(
            marked.config.get_password(),
            Some("sec?sslmode=secret".as_bytes())
        );
        let socket = super::target("postgresql:///d?host=/run/postgresql&user=u").expect("read");
        assert_eq!(socket.server, "/run/postgresql:5432/d");
    }
}
