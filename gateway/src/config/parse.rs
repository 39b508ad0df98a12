//! Text to typed values. Each error says what was expected; where it came from is added by the caller.

use std::{net::SocketAddr, time::Duration};

use super::{BodyLimit, HistoryUrl, Register};

/// Longest duration anybody means: times further off than a century are typing errors.
const DURATION_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Shortest duration that makes sense for a window or a grace.
const DURATION_MIN: Duration = Duration::from_secs(1);

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not ADDRESS:PORT, such as 0.0.0.0:4433 or [::]:4433"))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let refused = || format!("{text:?} is not a duration from 1s to 100 years, such as 90s, 5m or 400d");
    let duration = humantime::parse_duration(text).map_err(|_| refused())?;
    if (DURATION_MIN..=DURATION_MAX).contains(&duration) {
        Ok(duration)
    } else {
        Err(refused())
    }
}

pub(super) fn body_limit(text: &str) -> Result<BodyLimit, String> {
    bytes(text)
        .and_then(BodyLimit::new)
        .ok_or_else(|| format!("{text:?} is not a size from 32KiB to 16MiB, such as 1MiB or 65536"))
}

pub(super) fn register(text: &str) -> Result<Register, String> {
    match text {
        "auto" => Ok(Register::Auto),
        "manual" => Ok(Register::Manual),
        _ => Err(format!("{text:?} is neither auto nor manual")),
    }
}

/// `--context`: any name a kubeconfig may hold.
pub(super) fn context(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("is empty, expected the name of a context".to_owned());
    }
    Ok(text.to_owned())
}

/// `--namespace`: the name of a namespace, which is that of a process's too (DNS-1123).
pub(super) fn namespace(text: &str) -> Result<String, String> {
    apollo_wire::ProcessRef::new(text, "any")
        .map(|_| text.to_owned())
        .map_err(|_| format!("{text:?} is not the name of a namespace"))
}

/// `--history`: the inner `None` is "none". A URL is not repeated in the message: it may hold a password.
pub(super) fn history(text: &str) -> Result<Option<HistoryUrl>, String> {
    if text == "none" {
        return Ok(None);
    }
    let refused = || "is neither none nor a URL such as postgres://user:password@host:5432/apollo".to_owned();
    HistoryUrl::new(text).map(Some).ok_or_else(refused)
}

/// A size: digits and one of B, KiB, MiB, GiB (or kB, MB, GB), or nothing.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit_and_bounded() {
        for (text, expected) in [
            ("1MiB", 1 << 20),
            ("64 KiB", 65_536),
            ("4096", 4096),
            ("1MB", 1_000_000),
        ] {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
        for bad in [
            "",
            "MiB",
            "-1",
            "1.5MiB",
            "1 MIB",
            "99999999999999999999",
            "20000000000GiB",
        ] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
        assert!(body_limit("32KiB").is_ok() && body_limit("32767").is_err());
        assert!(body_limit("16MiB").is_ok() && body_limit("16777217").is_err());
    }

    #[test]
    fn durations_are_read_and_bounded() {
        assert_eq!(duration("400d"), Ok(Duration::from_secs(400 * 86_400)));
        assert!(duration("1s").is_ok() && duration("999ms").is_err());
        for bad in ["", "90", "soon", "200years"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
