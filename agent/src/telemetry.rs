//! The log: events on standard error, for people or for machines.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// What is logged unless `APOLLO_AGENT_LOG` says otherwise. The transport's own warnings are about single packets.
const DEFAULT_FILTER: &str = "info,quinn=error,quinn_proto=error,quinn_udp=error,h3=error";

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `APOLLO_AGENT_LOG` may hold filter directives, such as `debug` or `apollo_agent=trace`. Called again,
/// it changes nothing.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::builder().parse(
        std::env::var("APOLLO_AGENT_LOG")
            .as_deref()
            .unwrap_or(DEFAULT_FILTER),
    );
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        LogFormat::Text => {
            let layer = fmt::layer()
                .with_writer(io::stderr)
                .with_ansi(io::stderr().is_terminal());
            registry.with(layer.with_target(false)).try_init()
        }
        LogFormat::Json => registry
            .with(fmt::layer().json().with_writer(io::stderr))
            .try_init(),
    };
    // An embedding program (a test) may log already.
    drop(started);
}
