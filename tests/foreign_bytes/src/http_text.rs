//! HTTP messages as text, so that a fuzzer and a person can write them: a first line, headers, an empty line, a body.

use http::{HeaderMap, HeaderName, HeaderValue};

/// A message taken apart.
pub(crate) struct Message<'a> {
    /// The first line.
    pub(crate) first: &'a str,
    /// The headers that HTTP would carry; lines that are none are left out.
    pub(crate) headers: HeaderMap,
    /// All that follows the empty line.
    pub(crate) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Takes a message apart; `None` if it has no empty line or its head is no text.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let at = bytes.windows(2).position(|pair| pair == b"\n\n")?;
        let head = std::str::from_utf8(bytes.get(..at)?).ok()?;
        let mut lines = head.split('\n');
        let first = lines.next()?;
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let name = HeaderName::from_bytes(name.trim().as_bytes());
            let value = HeaderValue::from_bytes(value.trim().as_bytes());
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        Some(Self {
            first,
            headers,
            body: bytes.get(at + 2..)?,
        })
    }
}
