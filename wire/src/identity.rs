//! Who an observation comes from and which object it is about: (device, instance, sequence) and `namespace/name`.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::limits;

/// Position in a queue database's AUTOINCREMENT key: unique and never reused within one instance. Below 2^63.
pub type Sequence = u64;

/// Position of an instance in the gateway's list of instances it has met for one device: 1, 2, 3 ...
///
/// Handed out by compare-and-swap at first contact, so a larger epoch is a later life of the device.
pub type Epoch = u32;

/// A name that is not what Kubernetes accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a DNS-1123 subdomain (or, for a namespace, label).
    #[error(
        "{what} {name:?} is not a DNS-1123 name: 1 to {max} of a-z, 0-9, '-' and '.', starting and ending with a letter or digit"
    )]
    NotDns1123 {
        /// Which name it was: "device", "namespace" or "name".
        what: &'static str,
        /// The refused text, cut to a loggable length.
        name: String,
        /// Longest allowed, bytes.
        max: usize,
    },
    /// A process reference without exactly one slash.
    #[error("process {0:?} is not NAMESPACE/NAME")]
    NotNamespaced(String),
    /// Not a UUID.
    #[error("instance {0:?} is not a UUID")]
    NotUuid(String),
}

/// True for an RFC 1123 label of at most `max` bytes, or dot-joined labels where `dots` allows them.
fn is_dns1123(name: &str, max: usize, dots: bool) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.len() <= max
        && if dots {
            name.split('.').all(label)
        } else {
            label(name)
        }
}

/// The first 80 characters: refused names come from peers and end up in logs.
fn loggable(name: &str) -> String {
    name.chars().take(80).collect()
}

/// A device's name: a DNS-1123 subdomain, taken from the client certificate and from nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceName(Arc<str>);

/// `namespace/name` of a DeviceProcess.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProcessRef(Arc<str>);

impl DeviceName {
    /// The NAME of a URI of the form `spiffe://TRUST-DOMAIN/device/NAME`, unchecked; `None` for every other URI. A
    /// certificate names the one device of the one such URI among its subject alternative names.
    pub fn in_uri(uri: &str) -> Option<&str> {
        let (trust_domain, path) = uri.strip_prefix("spiffe://")?.split_once('/')?;
        if trust_domain.is_empty() {
            return None;
        }
        path.strip_prefix("device/")
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ProcessRef {
    /// Joins a namespace and a name, checking both.
    pub fn new(namespace: &str, name: &str) -> Result<Self, NameError> {
        if !is_dns1123(namespace, limits::LABEL_BYTES, false) {
            return Err(NameError::NotDns1123 {
                what: "namespace",
                name: loggable(namespace),
                max: limits::LABEL_BYTES,
            });
        }
        if !is_dns1123(name, limits::SUBDOMAIN_BYTES, true) {
            return Err(NameError::NotDns1123 {
                what: "name",
                name: loggable(name),
                max: limits::SUBDOMAIN_BYTES,
            });
        }
        Ok(Self(format!("{namespace}/{name}").into()))
    }

    /// `namespace/name` as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the slash.
    pub fn namespace(&self) -> &str {
        self.0.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

impl FromStr for DeviceName {
    type Err = NameError;
    fn from_str(name: &str) -> Result<Self, NameError> {
        if is_dns1123(name, limits::SUBDOMAIN_BYTES, true) {
            return Ok(Self(name.into()));
        }
        Err(NameError::NotDns1123 {
            what: "device",
            name: loggable(name),
            max: limits::SUBDOMAIN_BYTES,
        })
    }
}

impl FromStr for ProcessRef {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('/') {
            Some((namespace, name)) if !name.contains('/') => Self::new(namespace, name),
            _ => Err(NameError::NotNamespaced(loggable(text))),
        }
    }
}

/// A queue database's identity: a random UUID made when the database is created, so a wiped device is a new instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId(uuid::Uuid);

impl InstanceId {
    /// From the 16 bytes of a UUID (the caller brings the randomness).
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }

    /// The 16 bytes, as they travel in binary frames.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl FromStr for InstanceId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        uuid::Uuid::try_parse(text)
            .map(Self)
            .map_err(|_| NameError::NotUuid(loggable(text)))
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text conversions that serde and formatting want, the same for each name type.
macro_rules! text_conversions {
    ($($name:ident => $text:expr),+) => {$(
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                let text: fn(&$name) -> String = $text;
                text(&name)
            }
        }
    )+};
}
text_conversions!(
    DeviceName => |name| name.0.to_string(),
    ProcessRef => |name| name.0.to_string(),
    InstanceId => |id| id.0.to_string()
);

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ProcessRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_a_device_behind_any_trust_domain_and_nowhere_else() {
        assert_eq!(
            DeviceName::in_uri("spiffe://fleet/device/buoy-17"),
            Some("buoy-17")
        );
        assert_eq!(
            DeviceName::in_uri("spiffe://fleet/device/a/b"),
            Some("a/b"),
            "unchecked"
        );
        for other in [
            "spiffe:///device/buoy-17",
            "spiffe://fleet",
            "spiffe://fleet/gateway/buoy-17",
            "spiffe://fleet/ns/device/buoy-17",
            "https://fleet/device/buoy-17",
        ] {
            assert_eq!(DeviceName::in_uri(other), None, "{other}");
        }
    }

    #[test]
    fn a_device_name_is_a_subdomain_at_the_limit_and_not_one_past() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(longest.len(), limits::SUBDOMAIN_BYTES);
        assert!(longest.parse::<DeviceName>().is_ok());
        assert!(format!("{longest}a").parse::<DeviceName>().is_err());
        for bad in ["", "-a", "a-", "A", "a..b", "a_b", "ä", "a/b", "a b"] {
            assert!(bad.parse::<DeviceName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_process_reference_has_exactly_one_slash() {
        let process: ProcessRef = "default/collector.v2".parse().unwrap();
        assert_eq!((process.namespace(), process.name()), ("default", "collector.v2"));
        for bad in ["collector", "a/b/c", "/b", "a/", "a.b/c"] {
            assert!(bad.parse::<ProcessRef>().is_err(), "{bad:?}");
        }
    }
}
