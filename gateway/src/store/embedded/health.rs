//! Says once that the store fails, and once that it works again: a full disk must not fill the log too.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the last step worked. Reads and writes have one each: with a full disk reads go on.
#[derive(Debug)]
pub(super) struct Health {
    steps: &'static str,
    failing: AtomicBool,
}

impl Health {
    /// For `steps`, "reads" or "writes", that are taken to work.
    pub(super) fn of(steps: &'static str) -> Self {
        Self {
            steps,
            failing: AtomicBool::new(false),
        }
    }

    /// A step worked.
    pub(super) fn working(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!(steps = self.steps, "the store works again");
        }
    }

    /// A step failed.
    pub(super) fn failing(&self, error: &dyn std::error::Error) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            tracing::error!(steps = self.steps, %error, cause, "the store fails; requests are answered 503 until it works");
        }
    }

    /// Whether the last step failed, for readiness.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }
}
