//! History in Postgres.

/// History cannot be written or read, or what is too old cannot be removed. Once, until it works again.
pub struct HistoryFails<'a> {
    /// "requests", which are answered 503 until it works, or "retention".
    pub steps: &'static str,
    /// Why.
    pub error: &'a str,
}

impl HistoryFails<'_> {
    /// Logs.
    pub fn emit(self) {
        let Self { steps, error } = self;
        tracing::error!(steps, error, "history fails");
    }
}

/// History works again.
pub struct HistoryWorks {
    /// "requests" or "retention".
    pub steps: &'static str,
}

impl HistoryWorks {
    /// Logs.
    pub fn emit(self) {
        tracing::info!(steps = self.steps, "history works again");
    }
}
