//! Waiting for a level, with a deadline.

use std::time::{Duration, Instant};

/// Waits until `level` holds; panics after `deadline`.
pub(crate) async fn until(deadline: Duration, what: &str, mut level: impl FnMut() -> bool) {
    let started = Instant::now();
    while !level() {
        assert!(started.elapsed() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
