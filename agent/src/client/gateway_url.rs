//! Where a gateway is: `https://HOST:PORT`, and nothing else.

use std::{fmt, str::FromStr};

use rustls::pki_types::ServerName;

/// A gateway's address as configured. The host is also the name its certificate has to carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayUrl {
    /// `HOST:PORT`, as the requests' `:authority`.
    authority: String,
    host: String,
    port: u16,
    server_name: ServerName<'static>,
}

/// A text that is no gateway address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: {problem}; expected https://HOST:PORT, such as https://gateway.example.com:4433")]
pub struct GatewayUrlError {
    text: String,
    problem: &'static str,
}

impl GatewayUrl {
    /// `HOST:PORT`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host, without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The UDP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn server_name(&self) -> &ServerName<'static> {
        &self.server_name
    }
}

impl FromStr for GatewayUrl {
    type Err = GatewayUrlError;
    fn from_str(text: &str) -> Result<Self, GatewayUrlError> {
        let refused = |problem| GatewayUrlError {
            text: text.chars().take(100).collect(),
            problem,
        };
        let uri: http::Uri = text.parse().map_err(|_| refused("not a URL"))?;
        if uri.scheme_str() != Some("https") {
            return Err(refused("the scheme is not https"));
        }
        let authority = uri.authority().ok_or_else(|| refused("there is no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused(
                "it has a user name, devices are known by their certificate",
            ));
        }
        let port = authority
            .port_u16()
            .filter(|port| *port != 0)
            .ok_or_else(|| refused("there is no port"))?;
        if !matches!(
            uri.path_and_query().map(http::uri::PathAndQuery::as_str),
            None | Some("/")
        ) {
            return Err(refused("it has a path"));
        }
        let host = authority.host();
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let server_name = ServerName::try_from(host.to_owned())
            .map_err(|_| refused("the host is no DNS name and no IP address"))?;
        Ok(Self {
            authority: authority.as_str().to_owned(),
            host: host.to_owned(),
            port,
            server_name,
        })
    }
}

impl fmt::Display for GatewayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_with_a_port_are_taken() {
        for (text, host, port) in [
            ("https://gateway.example.com:4433", "gateway.example.com", 4433),
            ("https://localhost:1/", "localhost", 1),
            ("https://127.0.0.1:65535", "127.0.0.1", 65535),
            ("https://[::1]:4433", "::1", 4433),
        ] {
            let url: GatewayUrl = text.parse().unwrap();
            assert_eq!((url.host(), url.port()), (host, port), "{text}");
            assert_eq!(url.to_string(), text.trim_end_matches('/'));
        }
    }

    #[test]
    fn anything_else_is_refused_and_told_why() {
        for (text, word) in [
            ("", "not a URL"),
            ("gateway.example.com:4433", "scheme"),
            ("http://gateway:4433", "scheme"),
            ("https://gateway", "port"),
            ("https://gateway:0", "port"),
            ("https://gateway:65536", ""),
            ("https://gateway:4433/v1", "path"),
            ("https://gateway:4433/?a=b", "path"),
            ("https://me@gateway:4433", "user name"),
            ("https://gate_way!:4433", ""),
        ] {
            let error = text.parse::<GatewayUrl>().unwrap_err().to_string();
            assert!(
                error.contains(word) && error.contains("expected https://HOST:PORT"),
                "{text}: {error}"
            );
        }
    }
}
