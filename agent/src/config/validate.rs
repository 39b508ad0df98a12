//! From texts to values, collecting everything that is wrong.

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;

use super::{
    Config, ConfigError, Problem,
    layers::{Layer, Origin, Written},
    settings::{SETTINGS, Setting},
};
use crate::{
    client::{GatewayUrl, IdentityFiles},
    queue::QueueLimits,
    telemetry::LogFormat,
};

/// Most gateways: each is tried in turn in one exchange, so more would only make the exchange longer.
const GATEWAYS: usize = 8;
/// Shortest interval: below it, an exchange would follow the other without a pause.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
/// Longest interval: the device is asleep, not gone. Also keeps the announced seconds in their 32 bits.
const LONGEST_INTERVAL: Duration = Duration::from_secs(30 * 24 * 3600);

/// Checks the winning values.
pub(super) fn validate(written: Layer, problems: Vec<Problem>) -> Result<Config, ConfigError> {
    let mut check = Check { written, problems };
    let gateways = check.gateways();
    let config = Config {
        gateways,
        identity: IdentityFiles {
            ca: check.path("ca"),
            cert: check.path("cert"),
            key: check.path("key"),
        },
        data_dir: check.path("data-dir"),
        sync_interval: check.value("sync-interval", interval).unwrap_or_default(),
        heartbeat: check.value("heartbeat", interval).unwrap_or_default(),
        queue: QueueLimits {
            max_rows: check.value("queue-max-rows", rows).unwrap_or_default(),
            max_bytes: check.value("queue-max-bytes", bytes).unwrap_or_default(),
        },
        metrics_listen: check.value("metrics-listen", |text| {
            text.parse()
                .map_err(|_| format!("{text:?}: expected ADDRESS:PORT, such as 127.0.0.1:9091"))
        }),
        log_format: check.value("log-format", log_format).unwrap_or_default(),
    };
    // Values that stand in for wrong ones never leave here: each has its problem.
    if check.problems.is_empty() {
        Ok(config)
    } else {
        Err(ConfigError(check.problems))
    }
}

struct Check {
    written: Layer,
    problems: Vec<Problem>,
}

impl Check {
    fn written(&mut self, name: &str) -> Option<Written> {
        let setting: &Setting = SETTINGS.iter().find(|setting| setting.name == name)?;
        let default = |text: &str| Written {
            values: vec![text.to_owned()],
            origin: Origin::Default,
        };
        self.written.remove(name).or_else(|| setting.default.map(default))
    }

    /// The value of a setting; `None` if it is optional and not set, or wrong.
    fn value<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let written = self.written(name)?;
        let text = written.values.last()?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.problems
                    .push(Problem::new(&written.origin, format!("{name} {problem}")));
                None
            }
        }
    }

    fn path(&mut self, name: &'static str) -> PathBuf {
        let path = self
            .written(name)
            .and_then(|written| written.values.last().cloned());
        match path {
            Some(path) if !path.is_empty() => path.into(),
            _ => {
                self.missing(name);
                PathBuf::new()
            }
        }
    }

    fn missing(&mut self, name: &str) {
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) {
            self.problems.push(Problem::missing(setting));
        }
    }

    fn gateways(&mut self) -> Vec<GatewayUrl> {
        let Some(written) = self.written("gateway") else {
            self.missing("gateway");
            return vec![];
        };
        if written.values.len() > GATEWAYS {
            let what = format!(
                "gateway has {} values, at most {GATEWAYS} are allowed",
                written.values.len()
            );
            self.problems.push(Problem::new(&written.origin, what));
        }
        let mut gateways = vec![];
        for text in &written.values {
            match text.parse() {
                Ok(gateway) => gateways.push(gateway),
                Err(error) => self
                    .problems
                    .push(Problem::new(&written.origin, format!("gateway {error}"))),
            }
        }
        gateways
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let expected = || format!("{text:?}: expected a duration from 100ms to 30days, such as 30s or 15min");
    let duration = humantime::parse_duration(text).map_err(|_| expected())?;
    if (SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&duration) {
        Ok(duration)
    } else {
        Err(expected())
    }
}

fn rows(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(rows) if rows > 0 => Ok(rows),
        _ => Err(format!("{text:?}: expected a whole number from 1")),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    match text.parse::<ByteSize>() {
        Ok(bytes) if bytes.as_u64() > 0 => Ok(bytes.as_u64()),
        _ => Err(format!("{text:?}: expected a size from 1 byte, such as 64MiB")),
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("{text:?}: expected text or json")),
    }
}
