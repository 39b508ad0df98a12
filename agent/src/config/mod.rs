//! The agent's configuration: raw texts from four layers in, validated values out.
//!
//! A flag wins over `APOLLO_AGENT_*`, that over the file of `--config`, that over the default. Everything that is wrong
//! is reported at once, each with where it was written.

mod args;
mod layers;
mod settings;
mod validate;

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

pub use args::ConfigArgs;
pub use layers::{Layer, Origin, Written};
pub use settings::{SETTINGS, Setting};

use crate::{
    client::{GatewayUrl, IdentityFiles},
    queue::QueueLimits,
    telemetry::LogFormat,
};

/// The configuration, valid as far as it can be known without opening anything.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The gateways, in order of preference.
    pub gateways: Vec<GatewayUrl>,
    /// The device's certificate files.
    pub identity: IdentityFiles,
    /// Where the queue and the logs of processes are.
    pub data_dir: PathBuf,
    /// How long rows wait for company.
    pub sync_interval: Duration,
    /// Longest silence.
    pub heartbeat: Duration,
    /// Bounds of the queue.
    pub queue: QueueLimits,
    /// Where metrics are served, if anywhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Form of the log.
    pub log_format: LogFormat,
}

/// One thing wrong, with where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(String);

impl Problem {
    fn new(origin: &Origin, what: impl fmt::Display) -> Self {
        Self(format!("{origin}: {what}"))
    }

    fn missing(setting: &Setting) -> Self {
        let Setting { name, .. } = setting;
        Self(format!(
            "--{name} is required (or {}, or {name} in the file of --config)",
            setting.variable()
        ))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A configuration that cannot be used: everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(Vec<Problem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration has problems:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigError {}

/// The winning value of each setting, before validation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    written: Layer,
    problems: Vec<Problem>,
}

impl Resolved {
    /// Puts the layers on top of each other. `config_file` is what `--config` (or `APOLLO_AGENT_CONFIG`) names.
    pub fn new(
        flags: Layer,
        variables: impl IntoIterator<Item = (String, String)>,
        config_file: Option<&PathBuf>,
    ) -> Self {
        let mut problems = Vec::new();
        let environment = layers::environment(variables, &mut problems);
        let mut written = config_file
            .map(|path| layers::file(path, &mut problems))
            .unwrap_or_default();
        written.extend(environment);
        written.extend(flags);
        Self { written, problems }
    }

    /// Checks everything.
    ///
    /// # Errors
    /// [`ConfigError`] with all problems of all layers.
    pub fn validate(self) -> Result<Config, ConfigError> {
        validate::validate(self.written, self.problems)
    }

    /// The values in force as a TOML file, each with its origin.
    #[must_use]
    pub fn to_toml(&self) -> String {
        SETTINGS.iter().map(|setting| self.toml_line(setting)).collect()
    }

    fn toml_line(&self, setting: &Setting) -> String {
        let Setting {
            name,
            default,
            repeatable,
        } = *setting;
        let quote = |text: &str| toml::Value::String(text.to_owned()).to_string();
        match (self.written.get(name), default) {
            (Some(written), _) if repeatable => {
                let values: Vec<_> = written.values.iter().map(|value| quote(value)).collect();
                format!("{name} = [{}]  # {}\n", values.join(", "), written.origin)
            }
            (Some(written), _) => {
                let value = written.values.last().map_or("", String::as_str);
                format!("{name} = {}  # {}\n", quote(value), written.origin)
            }
            (None, Some(default)) => format!("{name} = {}  # {}\n", quote(default), Origin::Default),
            (None, None) => format!("# {name} is not set\n"),
        }
    }
}

#[cfg(test)]
mod tests;
