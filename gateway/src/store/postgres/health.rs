//! Says once that history fails, and once that it works again: a server that is down must not fill the log.

use std::sync::{Mutex, PoisonError};

use super::error::HistoryError;
use crate::events::{HistoryFails, HistoryWorks};

/// Whether the last step worked.
#[derive(Debug)]
pub(super) struct Health {
    steps: &'static str,
    failure: Mutex<Option<String>>,
}

impl Health {
    /// For `steps`, "requests" or "retention", that are taken to work.
    pub(super) fn of(steps: &'static str) -> Self {
        Self {
            steps,
            failure: Mutex::new(None),
        }
    }

    /// A step worked.
    pub(super) fn working(&self) {
        let before = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        if before.is_some() {
            HistoryWorks { steps: self.steps }.emit();
        }
    }

    /// A step failed.
    pub(super) fn fails(&self, error: &HistoryError) {
        let error = error.to_string();
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.replace(error.clone()).is_none() {
            let steps = self.steps;
            HistoryFails { steps, error: &error }.emit();
        }
    }

    /// Why the last step failed, if it did.
    pub(super) fn failing(&self) -> Option<String> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
