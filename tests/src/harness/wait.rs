//! Waiting for a level with a deadline: the only way tests wait.

use std::time::{Duration, Instant};

use anyhow::bail;

/// Between two looks at the level. Short against everything waited for, long enough not to load the machine.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until `level` gives something, at most `within`. `what` names it in the error.
pub fn until<T>(
    what: &str,
    within: Duration,
    mut level: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(reached) = level()? {
            return Ok(reached);
        }
        if Instant::now() >= deadline {
            bail!("waited {within:?} for {what}");
        }
        pause(LOOK_EVERY);
    }
}

/// As [`until`], for a level that is only true or false.
pub fn until_true(
    what: &str,
    within: Duration,
    mut level: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    until(what, within, || Ok(level()?.then_some(())))
}

/// Lets time pass where passing time is the subject of the test (a staleness window, the moment of a kill), never to
/// wait for another program.
pub fn pause(duration: Duration) {
    let end = Instant::now() + duration;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        // May wake early, hence the loop.
        std::thread::park_timeout(left);
    }
}
