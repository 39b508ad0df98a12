//! Entity tags of desired documents: making them, and reading `If-None-Match` (RFC 9110, sections 8.8.3 and
//! 13.1.2).

use std::sync::Arc;

use apollo_wire::{ProcessRef, SpecHash};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// A strong entity tag with its quotes: 11 characters between them, 64 bits of SHA-256. Short, because it
/// crosses metered links in both directions at every poll.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(Arc<str>);

impl ETag {
    /// The tag of a list of processes, from what identifies their specs; the specs themselves are not looked
    /// at. The items come sorted by process.
    pub fn of<'a>(items: impl IntoIterator<Item = (&'a ProcessRef, i64, SpecHash)>) -> Self {
        let mut digest = Sha256::new();
        for (process, generation, spec_hash) in items {
            digest.update(process.as_str());
            // Names have no zero byte and the rest has a fixed length, so no two lists make the same input.
            digest.update([0]);
            digest.update(generation.to_be_bytes());
            digest.update(spec_hash.0);
        }
        let digest: [u8; 32] = digest.finalize().into();
        let (first, _) = digest.split_at(8);
        Self(format!("\"{}\"", URL_SAFE_NO_PAD.encode(first)).into())
    }

    /// As it stands in a header field, quotes included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an `If-None-Match` field value names this tag: `*`, or a list with an entity tag that is equal
    /// by weak comparison (the `W/` does not count). What is no entity tag matches nothing. Several field
    /// lines are to be joined with commas first (RFC 9110, section 5.3).
    pub fn matches(&self, if_none_match: &str) -> bool {
        let mut rest = if_none_match.trim();
        if rest == "*" {
            return true;
        }
        while !rest.is_empty() {
            rest = rest.trim_start_matches([',', ' ', '\t']);
            let tag = rest.strip_prefix("W/").unwrap_or(rest);
            // A comma inside the quotes belongs to the tag, so tags end at quotes, not at commas.
            let length = match tag.strip_prefix('"').and_then(|opaque| opaque.find('"')) {
                Some(closing) => closing + 2,
                None => tag.find(',').unwrap_or(tag.len()),
            };
            let (tag, after) = tag.split_at(length);
            if tag == self.as_str() {
                return true;
            }
            rest = after;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag() -> ETag {
        ETag::of([])
    }

    #[test]
    fn it_is_quoted_short_and_constant_for_the_empty_list() {
        // printf '' | sha256sum: e3b0c44298fc1c14...
        assert_eq!(tag().as_str(), "\"47DEQpj8HBQ\"");
    }

    #[test]
    fn it_depends_on_name_generation_and_hash_alone() {
        let a: ProcessRef = "default/a".parse().unwrap();
        let b: ProcessRef = "default/b".parse().unwrap();
        let base = ETag::of([(&a, 1, SpecHash([1; 8]))]);
        assert_eq!(base, ETag::of([(&a, 1, SpecHash([1; 8]))]));
        for other in [
            ETag::of([(&b, 1, SpecHash([1; 8]))]),
            ETag::of([(&a, 2, SpecHash([1; 8]))]),
            ETag::of([(&a, 1, SpecHash([2; 8]))]),
            ETag::of([(&a, 1, SpecHash([1; 8])), (&b, 1, SpecHash([1; 8]))]),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn if_none_match_is_read_as_rfc_9110_says() {
        let tag = tag();
        for matching in [
            "*",
            " * ",
            "\"47DEQpj8HBQ\"",
            "W/\"47DEQpj8HBQ\"",
            "\"a\", \"47DEQpj8HBQ\"",
            "\"a,b\",W/\"47DEQpj8HBQ\" , \"c\"",
            ",, \"47DEQpj8HBQ\",",
            "nonsense, \"47DEQpj8HBQ\"",
        ] {
            assert!(tag.matches(matching), "{matching}");
        }
        for other in [
            "",
            "47DEQpj8HBQ",
            "\"47DEQpj8HB\"",
            "\"\"",
            "\"",
            "w/\"47DEQpj8HBQ\"",
            "\"x,\"47DEQpj8HBQ",
            "**",
            "W/",
            "\"é",
            "é,é\"",
        ] {
            assert!(!tag.matches(other), "{other}");
        }
    }
}
