//! What this machine knows about time: the wall clock, the boot, the uptime, and whether the wall clock can be trusted.
//!
//! Linux only tells whether the clock is disciplined through `adjtimex(2)`, which no safe wrapper offers. So the answer
//! comes from what can be seen without it, in this order:
//! 1. a wall clock before [`EARLIEST_PLAUSIBLE_MS`] was never set: unsynced;
//! 2. systemd-timesyncd runs and has its `synchronized` mark: synced; runs without it: unsynced;
//! 3. anything else (chrony, ntpd, GNSS, a container) cannot be seen: synced, the contract's default. Who knows better
//!    says so with the field `clock` of an observation.

use std::{fs, path::Path};

use apollo_wire::{Clock, UnixMillis};

/// 2025-01-01T00:00:00Z: before any release of this program. A device that believes it is earlier has not set its clock.
pub const EARLIEST_PLAUSIBLE_MS: i64 = 1_735_689_600_000;

/// The clock at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockFacts {
    /// Wall time.
    pub now: UnixMillis,
    /// Milliseconds since boot, time asleep included; 0 if unknown.
    pub uptime_ms: u64,
    /// Whether `now` can be trusted: synced or unsynced.
    pub clock: Clock,
}

/// Reads the clock.
pub fn read() -> ClockFacts {
    let now = now();
    ClockFacts {
        now,
        uptime_ms: uptime_ms(),
        clock: judge(now, Path::new("/run/systemd/timesync")),
    }
}

/// The wall clock.
pub fn now() -> UnixMillis {
    UnixMillis::saturating(jiff::Timestamp::now().as_millisecond())
}

/// The kernel's id of this boot. Where there is none (not Linux, a sandbox), an id made up now: rows of another run
/// then count as rows of another boot, which is the careful reading.
pub fn boot_id() -> String {
    match fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(id) if !id.trim().is_empty() => id.trim().to_owned(),
        _ => uuid::Uuid::new_v4().to_string(),
    }
}

fn uptime_ms() -> u64 {
    fs::read_to_string("/proc/uptime")
        .ok()
        .and_then(|text| parse_uptime_ms(&text))
        .unwrap_or(0)
}

/// Milliseconds from the first number of `/proc/uptime`, seconds with two decimals.
fn parse_uptime_ms(text: &str) -> Option<u64> {
    let (seconds, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    let seconds: u64 = seconds.parse().ok()?;
    let hundredths: u64 = hundredths.get(..2)?.parse().ok()?;
    seconds.checked_mul(1000)?.checked_add(hundredths * 10)
}

fn judge(now: UnixMillis, timesync: &Path) -> Clock {
    let runs_unsynchronized = timesync.is_dir() && !timesync.join("synchronized").exists();
    if now.get() < EARLIEST_PLAUSIBLE_MS || runs_unsynchronized {
        Clock::Unsynced
    } else {
        Clock::Synced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_never_set_or_not_yet_disciplined_is_unsynced() {
        let dir = tempfile::tempdir().unwrap();
        let plausible = UnixMillis::saturating(EARLIEST_PLAUSIBLE_MS);
        let absent = dir.path().join("absent");
        assert_eq!(judge(plausible, &absent), Clock::Synced);
        assert_eq!(judge(plausible.plus(-1), &absent), Clock::Unsynced);
        assert_eq!(judge(plausible, dir.path()), Clock::Unsynced);
        fs::write(dir.path().join("synchronized"), "").unwrap();
        assert_eq!(judge(plausible, dir.path()), Clock::Synced);
        assert_eq!(judge(plausible.plus(-1), dir.path()), Clock::Unsynced);
    }

    #[test]
    fn uptime_is_read_in_milliseconds() {
        assert_eq!(parse_uptime_ms("350735.47 234388.90\n"), Some(350_735_470));
        for bad in ["", "x", "1", "1.2 3", "-1.00 2"] {
            assert_eq!(parse_uptime_ms(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_boot_id_is_stable() {
        assert_eq!(boot_id(), boot_id());
    }
}
