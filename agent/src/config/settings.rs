//! Every setting of the agent: its name in each layer, its default, and what it means.

/// A setting. Its flag is `--NAME`, its key in a file NAME, its environment variable APOLLO_AGENT_NAME in capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The name, with hyphens.
    pub name: &'static str,
    /// The value used when no layer has one; `None` if there is none.
    pub default: Option<&'static str>,
    /// Whether it may have several values: flags are repeated, the variable is split at commas, the file has an array.
    pub repeatable: bool,
}

const fn setting(name: &'static str, default: Option<&'static str>) -> Setting {
    Setting {
        name,
        default,
        repeatable: false,
    }
}

/// All settings, in the order they are printed.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "gateway",
        default: None,
        repeatable: true,
    },
    setting("ca", None),
    setting("cert", None),
    setting("key", None),
    setting("data-dir", Some(crate::cli::DEFAULT_DATA_DIR)),
    setting("sync-interval", Some("30s")),
    setting("heartbeat", Some("60s")),
    setting("queue-max-rows", Some("100000")),
    setting("queue-max-bytes", Some("64MiB")),
    setting("metrics-listen", None),
    setting("log-format", Some("text")),
];

impl Setting {
    /// The environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!(
            "{VARIABLE_PREFIX}{}",
            self.name.to_ascii_uppercase().replace('-', "_")
        )
    }
}

/// What the agent's environment variables begin with.
pub(super) const VARIABLE_PREFIX: &str = "APOLLO_AGENT_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_follow_from_names() {
        let variables: Vec<_> = SETTINGS.iter().map(Setting::variable).collect();
        assert!(variables.contains(&"APOLLO_AGENT_QUEUE_MAX_BYTES".to_owned()));
        assert!(
            variables
                .iter()
                .all(|variable| variable.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        );
    }
}
