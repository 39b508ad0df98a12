//! The fingerprint of a `spec`: how agent and gateway tell which version of it an observation is about.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::limits;

/// First 8 bytes of SHA-256 over the canonical JSON (RFC 8785) of a `spec`; 16 hex digits as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpecHash(pub [u8; 8]);

/// Not 16 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("specHash is not 16 lower-case hex digits")]
pub struct SpecHashError;

impl FromStr for SpecHash {
    type Err = SpecHashError;
    fn from_str(text: &str) -> Result<Self, SpecHashError> {
        let digits = text.as_bytes();
        // Upper case is refused so that one hash has one spelling.
        if digits.len() != 16 || !digits.iter().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(SpecHashError);
        }
        u64::from_str_radix(text, 16)
            .map(|number| Self(number.to_be_bytes()))
            .map_err(|_| SpecHashError)
    }
}

impl fmt::Display for SpecHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl TryFrom<String> for SpecHash {
    type Error = SpecHashError;
    fn try_from(text: String) -> Result<Self, SpecHashError> {
        text.parse()
    }
}

impl From<SpecHash> for String {
    fn from(hash: SpecHash) -> Self {
        hash.to_string()
    }
}

/// A `spec` as canonical JSON text (RFC 8785) with its hash, computed once when the object is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CanonicalSpec {
    json: Arc<str>,
    hash: SpecHash,
}

/// A `spec` that cannot be made canonical.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalSpecError {
    /// Not JSON, or a number RFC 8785 cannot write.
    #[error("spec has no canonical JSON form")]
    NotCanonical(#[source] serde_json::Error),
    /// Over the limit.
    #[error("spec has {0} bytes of JSON, at most {max} are allowed", max = limits::SPEC_BYTES)]
    TooLong(usize),
}

impl CanonicalSpec {
    /// Canonicalizes and hashes a spec.
    pub fn new(spec: &serde_json::Value) -> Result<Self, CanonicalSpecError> {
        let json = serde_json_canonicalizer::to_string(spec).map_err(CanonicalSpecError::NotCanonical)?;
        if json.len() > limits::SPEC_BYTES {
            return Err(CanonicalSpecError::TooLong(json.len()));
        }
        let digest = Sha256::digest(json.as_bytes());
        let mut hash = [0; 8];
        hash.copy_from_slice(&digest[..8]);
        Ok(Self {
            json: json.into(),
            hash: SpecHash(hash),
        })
    }

    /// The canonical JSON text.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Its hash.
    pub fn hash(&self) -> SpecHash {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_does_not_depend_on_key_order_or_spacing() {
        let a = CanonicalSpec::new(&serde_json::from_str(r#"{"b": 1.0, "a": ["x"]}"#).unwrap()).unwrap();
        let b = CanonicalSpec::new(&serde_json::from_str(r#"{"a":["x"],"b":1}"#).unwrap()).unwrap();
        assert_eq!(a, b);
        assert_eq!(a.json(), r#"{"a":["x"],"b":1}"#);
        // printf '{"a":["x"],"b":1}' | sha256sum | head -c16
        assert_eq!(a.hash().to_string(), "9bfce180614e8aaf");
    }

    #[test]
    fn only_sixteen_lower_case_digits_are_a_hash() {
        assert!("9f86d081884c7d65".parse::<SpecHash>().is_ok());
        for bad in [
            "",
            "9f86d081884c7d6",
            "9f86d081884c7d655",
            "9F86d081884c7d65",
            "+f86d081884c7d65",
        ] {
            assert!(bad.parse::<SpecHash>().is_err(), "{bad:?}");
        }
    }
}
