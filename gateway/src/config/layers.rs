//! The raw layers: text by key, each with where it came from.

use std::{collections::BTreeMap, fmt, path::PathBuf};

/// The keys, as flags and as keys of the file; the environment variable is `APOLLO_GATEWAY_` and the name in capitals.
pub(super) const KEYS: [&str; 17] = [
    "listen",
    "admin-listen",
    "store",
    "kubeconfig",
    "context",
    "namespace",
    "history",
    "history-retention",
    "tls-cert",
    "tls-key",
    "client-ca",
    "stale-after",
    "max-body",
    "max-future-skew",
    "max-age",
    "shutdown-grace",
    "register",
];
/// Keys that take a list; in an environment variable its entries are separated by commas.
pub(super) const LISTS: [&str; 1] = ["listen"];
/// Names the configuration file; itself a flag or a variable only.
pub(super) const CONFIG_VARIABLE: &str = "APOLLO_GATEWAY_CONFIG";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag on the command line.
    Flag(&'static str),
    /// An environment variable.
    Environment(String),
    /// A key of the configuration file.
    File(PathBuf, String),
    /// Nothing was given.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(key) => write!(f, "--{key}"),
            Self::Environment(variable) => f.write_str(variable),
            Self::File(path, key) => write!(f, "{key} in {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Text values of one key, from one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) values: Vec<String>,
    pub(super) origin: Origin,
}

/// What flags and environment say. The file is read when they are resolved, because they name it.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// Values of flags, by key; several for a repeatable one.
    pub flags: BTreeMap<&'static str, Vec<String>>,
    /// Variables that begin with `APOLLO_GATEWAY_`.
    pub environment: BTreeMap<String, String>,
    /// `--config`.
    pub config_file: Option<PathBuf>,
}

impl Layers {
    /// Keeps the variables that are ours.
    pub fn with_environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment = variables
            .into_iter()
            .filter(|(name, _)| name.starts_with("APOLLO_GATEWAY_"))
            .collect();
        self
    }

    /// The configuration file, if one is named.
    pub(super) fn file(&self) -> Option<PathBuf> {
        self.config_file
            .clone()
            .or_else(|| self.environment.get(CONFIG_VARIABLE).map(PathBuf::from))
    }

    pub(super) fn flag(&self, key: &'static str) -> Option<Raw> {
        let values = self.flags.get(key).filter(|values| !values.is_empty())?.clone();
        Some(Raw {
            values,
            origin: Origin::Flag(key),
        })
    }

    pub(super) fn variable(&self, key: &str) -> Option<Raw> {
        let name = variable_name(key);
        let text = self.environment.get(&name)?;
        let values = if LISTS.contains(&key) {
            text.split(',').map(|entry| entry.trim().to_owned()).collect()
        } else {
            vec![text.clone()]
        };
        Some(Raw {
            values,
            origin: Origin::Environment(name),
        })
    }
}

fn variable_name(key: &str) -> String {
    format!("APOLLO_GATEWAY_{}", key.replace('-', "_").to_uppercase())
}
