//! `--history`: where the history of the Kubernetes store goes.

use std::fmt;

/// A `postgres://` URL. It may hold a password, so neither `Debug` nor an error message shows it whole.
#[derive(Clone, PartialEq, Eq)]
pub struct HistoryUrl(String);

impl HistoryUrl {
    /// From a text that begins with `postgres://` or `postgresql://`.
    pub fn new(text: &str) -> Option<Self> {
        let is_url = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        is_url.then(|| Self(text.to_owned()))
    }

    /// The whole URL, password included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL without user and password, for people.
    pub fn without_credentials(&self) -> String {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("postgres", ""));
        // A password may hold an @, a host cannot: the last one before the path ends the credentials.
        let authority_end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        // Parameters may hold a password too.
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        format!("{scheme}://{host}{path}")
    }
}

impl fmt::Debug for HistoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_credentials())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_is_secret_in_it() {
        for (url, shown) in [
            ("postgres://a:secret@db:5432/apollo", "postgres://db:5432/apollo"),
            (
                "postgres://a:se@cret@db/apollo?password=secret",
                "postgres://db/apollo",
            ),
            ("postgresql://db", "postgresql://db"),
            ("postgres:///apollo?host=/run/postgresql", "postgres:///apollo"),
        ] {
            let url = HistoryUrl::new(url).unwrap();
            assert_eq!(url.without_credentials(), shown);
            assert!(!format!("{url:?}").contains("secret"));
        }
        for bad in ["", "postgres://", "mysql://db", "db:5432"] {
            assert_eq!(HistoryUrl::new(bad), None, "{bad}");
        }
    }
}
