//! The command line of `apollo-gateway`: what can be asked for. How each command works is in [`crate::commands`].

use clap::{Parser, Subcommand, ValueEnum};

use crate::commands::{apply, crds, delete, get, pki, serve};

/// The gateway of an Apollo fleet: devices report to it over HTTP/3, operators apply objects to it.
#[derive(Debug, Parser)]
#[command(
    name = "apollo-gateway",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:
  Keys and certificates for a trial:
    apollo-gateway pki init --dir pki && apollo-gateway pki device buoy-17 --dir pki
  Serve devices, objects and history in one file:
    apollo-gateway serve --store embedded:./apollo-gateway.db \\
      --tls-cert pki/gateway.pem --tls-key pki/gateway.key --client-ca pki/ca.pem

Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 the other side unreachable, 4 storage."
)]
pub struct Cli {
    /// How log lines on stderr look
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "APOLLO_GATEWAY_LOG_FORMAT"
    )]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// Everything the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve devices over HTTP/3
    Serve(Box<serve::ServeArgs>),
    /// Create or change objects from YAML or JSON files, the same that kubectl takes
    Apply(apply::ApplyArgs),
    /// Delete one object
    Delete(delete::DeleteArgs),
    /// Show devices, deviceprocesses or observations
    Get(get::GetArgs),
    /// Print the CustomResourceDefinitions as YAML
    Crds(crds::CrdsArgs),
    /// Make and show certificates
    Pki(pki::PkiArgs),
}
