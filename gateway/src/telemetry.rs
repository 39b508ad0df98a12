//! Log lines on stderr: `RUST_LOG` chooses what, `--log-format` how (docs/telemetry.md).

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// What is logged without `RUST_LOG`: our own story, and of the libraries only what is wrong. kube's client logs every
/// answer that is an error, also those that we expect or tell once in our own words.
const DEFAULT_FILTER: &str = "warn,apollo_gateway=info,apollo_security=info,kube_client=off,kube_runtime=off";

/// Starts logging. Called once, by `main`; a filter that cannot be read is reported and replaced by the default.
pub fn init(format: LogFormat) {
    let asked = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let filter = match asked.as_deref().map(EnvFilter::try_new) {
        Some(Ok(filter)) => filter,
        Some(Err(error)) => {
            eprintln!("warning: RUST_LOG is not a log filter ({error}), using {DEFAULT_FILTER:?}");
            EnvFilter::new(DEFAULT_FILTER)
        }
        None => EnvFilter::new(DEFAULT_FILTER),
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second call (tests in one process) keeps the first logger.
    let _ = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
}
