//! `spec` of a Device.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::{Fields, Problems};

/// Longest staleness window: a year. A device that is silent for longer is lost by anybody's standard.
pub const STALE_AFTER_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// `spec` of a Device. Absent fields mean their defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeviceSpec {
    /// Refuse everything the device sends.
    pub blocked: bool,
    /// How long it may be silent before it is Lost: `90s`, `2h`. The gateway's `--stale-after` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_after: Option<String>,
}

/// Not a staleness window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration of 1s to 366d, such as 90s or 2h, got {0:?}")]
pub struct StaleAfterError(String);

impl DeviceSpec {
    /// The staleness window in milliseconds, if the spec has one.
    pub fn stale_after_ms(&self) -> Result<Option<u64>, StaleAfterError> {
        self.stale_after.as_deref().map(stale_after_ms).transpose()
    }
}

fn stale_after_ms(text: &str) -> Result<u64, StaleAfterError> {
    let refused = || StaleAfterError(text.chars().take(40).collect());
    let window = humantime::parse_duration(text).map_err(|_| refused())?;
    if !(Duration::from_secs(1)..=STALE_AFTER_MAX).contains(&window) {
        return Err(refused());
    }
    u64::try_from(window.as_millis()).map_err(|_| refused())
}

/// Checks a spec as it was written.
pub(super) fn check(spec: &Value, problems: &mut Problems) {
    let Some(fields) = Fields::of("spec", spec, problems) else {
        return;
    };
    fields.only(&["blocked", "staleAfter"], problems);
    fields.optional_bool("blocked", problems);
    if let Some(text) = fields.optional_text("staleAfter", problems)
        && let Err(error) = stale_after_ms(text)
    {
        problems.note("spec.staleAfter", error.to_string());
    }
}
