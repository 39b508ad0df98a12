//! The flags that `run` and `sync` share.

use std::path::PathBuf;

use clap::Args;

use super::{Resolved, layers};

/// Where the gateway is, who this device is, and how it behaves.
///
/// Texts, not values: they are validated together with the other layers, so that all problems are told at once.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// A gateway, as https://HOST:PORT; may be repeated, in order of preference
    #[arg(long, value_name = "URL")]
    gateway: Vec<String>,
    /// PEM file with the certificates of the authority that gateways are verified against
    #[arg(long, value_name = "FILE")]
    ca: Option<String>,
    /// PEM file with this device's certificate, which names it
    #[arg(long, value_name = "FILE")]
    cert: Option<String>,
    /// PEM file with this device's private key
    #[arg(long, value_name = "FILE")]
    key: Option<String>,
    /// Directory of the queue database; made if missing [default: ./apollo-agent]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// How long observations wait for company before they are sent [default: 30s]
    #[arg(long, value_name = "DURATION")]
    sync_interval: Option<String>,
    /// Longest silence when there is nothing to send [default: 60s]
    #[arg(long, value_name = "DURATION")]
    heartbeat: Option<String>,
    /// Most observations the queue holds; the oldest make room and leave a gap record [default: 100000]
    #[arg(long, value_name = "N")]
    queue_max_rows: Option<String>,
    /// Most bytes of observations the queue holds [default: 64MiB]
    #[arg(long, value_name = "SIZE")]
    queue_max_bytes: Option<String>,
    /// Serve Prometheus metrics here, such as 127.0.0.1:9091 [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<String>,
    /// Form of the log on standard error: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// TOML file with the same settings, named as the flags without --
    #[arg(long, value_name = "FILE", env = "APOLLO_AGENT_CONFIG")]
    config: Option<PathBuf>,
    /// Print the settings in force and where each comes from, and exit
    #[arg(long)]
    pub print_config: bool,
    /// Check the configuration and the files it names, and exit
    #[arg(long)]
    pub check_config: bool,
}

impl ConfigArgs {
    /// Puts the flags on top of the environment and the file.
    #[must_use]
    pub fn resolve(&self, variables: impl IntoIterator<Item = (String, String)>) -> Resolved {
        let one = |value: &Option<String>| value.iter().cloned().collect();
        let flags = layers::flags([
            ("gateway", self.gateway.clone()),
            ("ca", one(&self.ca)),
            ("cert", one(&self.cert)),
            ("key", one(&self.key)),
            ("data-dir", one(&self.data_dir)),
            ("sync-interval", one(&self.sync_interval)),
            ("heartbeat", one(&self.heartbeat)),
            ("queue-max-rows", one(&self.queue_max_rows)),
            ("queue-max-bytes", one(&self.queue_max_bytes)),
            ("metrics-listen", one(&self.metrics_listen)),
            ("log-format", one(&self.log_format)),
        ]);
        Resolved::new(flags, variables, self.config.as_ref())
    }
}
