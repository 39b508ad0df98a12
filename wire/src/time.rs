//! Wall-clock instants as the wire carries them: milliseconds, written as RFC 3339 in JSON.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z. Devices boot at 1970 and drift, so negative and absurd values are legal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnixMillis(i64);

/// A time that cannot be read, or that RFC 3339 cannot write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not RFC 3339.
    #[error("time {0:?} is not RFC 3339, such as 2026-11-23T10:00:00.000Z")]
    NotRfc3339(String),
    /// Outside the years 0 to 9999.
    #[error("time {0} ms is outside the years 0 to 9999")]
    OutOfRange(i64),
}

impl UnixMillis {
    /// 0000-01-01T00:00:00.000Z, the earliest RFC 3339 can write.
    pub const MIN: Self = Self(-62_167_219_200_000);
    /// 9999-12-30T22:00:00.000Z, the latest the time library can write.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// From milliseconds since the epoch; refused outside what RFC 3339 can write.
    pub fn new(millis: i64) -> Result<Self, TimeError> {
        if (Self::MIN.0..=Self::MAX.0).contains(&millis) {
            Ok(Self(millis))
        } else {
            Err(TimeError::OutOfRange(millis))
        }
    }

    /// From milliseconds since the epoch, pulled into the range RFC 3339 can write.
    pub fn saturating(millis: i64) -> Self {
        Self(millis.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Milliseconds since the epoch.
    pub fn get(self) -> i64 {
        self.0
    }

    /// This instant moved by `millis`, kept in range.
    pub fn plus(self, millis: i64) -> Self {
        Self::saturating(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this instant; negative if `earlier` is later.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl FromStr for UnixMillis {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let refused = || TimeError::NotRfc3339(text.chars().take(40).collect());
        // The time library reads more than RFC 3339 (a missing offset, a bracketed zone); the contract does not.
        if !is_rfc3339(text) {
            return Err(refused());
        }
        let timestamp: jiff::Timestamp = text.parse().map_err(|_| refused())?;
        Self::new(timestamp.as_millisecond())
    }
}

/// Whether a text has the shape of `date-time` (RFC 3339, section 5.6); whether its numbers name a moment is another
/// question. Letters of either case, and a space for the `T`, as the section allows.
fn is_rfc3339(text: &str) -> bool {
    let Some((seconds, rest)) = text.as_bytes().split_at_checked(SECONDS.len()) else {
        return false;
    };
    let fraction = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            fraction.split_at_checked(digits).filter(|_| digits > 0)
        }
        None => Some((&[][..], rest)),
    };
    let offset = fraction.map(|(_, offset)| offset);
    has_shape(seconds, SECONDS)
        && offset.is_some_and(|offset| matches!(offset, b"Z" | b"z") || has_shape(offset, b"+00:00"))
}

/// The part of a `date-time` that is always there: `0` is a digit, `+` a sign, the rest itself.
const SECONDS: &[u8] = b"0000-00-00T00:00:00";

fn has_shape(text: &[u8], shape: &[u8]) -> bool {
    let fits = |(byte, shape): (&u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        b'+' => matches!(byte, b'+' | b'-'),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        other => byte == other,
    };
    text.len() == shape.len() && text.iter().zip(shape).all(fits)
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            // Unreachable by construction (`new` and `saturating` keep the range); a number beats a panic.
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

impl TryFrom<String> for UnixMillis {
    type Error = TimeError;
    fn try_from(text: String) -> Result<Self, TimeError> {
        text.parse()
    }
}

impl From<UnixMillis> for String {
    fn from(time: UnixMillis) -> Self {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_offsets_and_writes_milliseconds_in_utc() {
        for (text, written) in [
            ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00.000Z"),
            ("2026-11-23T12:00:00.1239+02:00", "2026-11-23T10:00:00.123Z"),
            ("1970-01-01T00:00:00.001Z", "1970-01-01T00:00:00.001Z"),
            ("2026-11-23t10:00:00z", "2026-11-23T10:00:00.000Z"),
            ("2026-11-23 05:00:00.5-05:00", "2026-11-23T10:00:00.500Z"),
        ] {
            assert_eq!(text.parse::<UnixMillis>().unwrap().to_string(), written);
        }
        for bad in [
            "",
            "yesterday",
            "2026-11-23",
            "2026-11-23T10:00:00",
            "2026-11-23T10:00:00Z[UTC]",
            "1e9",
            "20261123T100000.000Z",
            "2026-11-23T10:00Z",
            "2026-11-23T10:00+02:00",
            "2026-11-23T10:00:00+02",
            "2026-11-23T10:00:00+0200",
            "2026-11-23T10:00:00+02:00:00",
            "+002026-11-23T10:00:00Z",
            "2026-11-23T10:00:00,5Z",
            "2026-11-23T10:00:00.Z",
            "2026-11-23T10:00:00.5",
            "2026-11-23T10:00:00Z ",
            "2026-13-23T10:00:00Z",
            "２026-11-23T10:00:00Z",
        ] {
            assert!(bad.parse::<UnixMillis>().is_err(), "{bad:?}");
        }
    }

    /// Without the help of the time library, which refuses some of it too.
    #[test]
    fn a_fraction_has_a_digit() {
        assert!(is_rfc3339("2026-11-23T10:00:00.5Z"));
        assert!(!is_rfc3339("2026-11-23T10:00:00.Z"));
    }

    #[test]
    fn the_time_between_two_moments_has_a_sign() {
        let (earlier, later) = (UnixMillis::saturating(1_000), UnixMillis::saturating(3_500));
        assert_eq!((later.since(earlier), earlier.since(later)), (2_500, -2_500));
    }

    #[test]
    fn the_ends_of_the_range_write_and_read_back() {
        for end in [UnixMillis::MIN, UnixMillis::MAX] {
            assert_eq!(end.to_string().parse(), Ok(end));
        }
        assert!(UnixMillis::new(UnixMillis::MAX.get() + 1).is_err());
        assert!(UnixMillis::new(UnixMillis::MIN.get() - 1).is_err());
    }
}
