//! What `run` and `sync` share: from the configuration to a driver that can start.

use apollo_agent_core::engine::Limits;

use crate::{
    client::{ClientFactory, ClientLimits, Identity},
    config::{Config, ConfigArgs},
    driver::{DriverError, Setup},
    exit::{CommandError, Exit},
    metrics::Metrics,
    queue::Queue,
};

use super::output;

/// The configuration, or the end of the command: `--print-config` and `--check-config` do nothing else.
pub(super) enum Configured {
    Go(Box<(Config, Identity)>),
    Done(Exit),
}

/// Reads and checks the configuration and the files it names.
pub(super) fn configure(args: &ConfigArgs) -> Result<Configured, CommandError> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    let resolved = args.resolve(variables);
    if args.print_config {
        output::line(resolved.to_toml().trim_end())?;
        return Ok(Configured::Done(Exit::Ok));
    }
    let config = resolved
        .validate()
        .map_err(|error| CommandError::Usage(error.to_string()))?;
    let identity =
        Identity::load(&config.identity).map_err(|error| CommandError::Usage(crate::exit::chain(&error)))?;
    if args.check_config {
        output::line(&format!(
            "the configuration is good; this device is {}",
            identity.device
        ))?;
        return Ok(Configured::Done(Exit::Ok));
    }
    Ok(Configured::Go(Box::new((config, identity))))
}

/// Everything a driver needs.
pub(super) fn setup(
    config: &Config,
    identity: Identity,
    queue: Queue,
    metrics: Metrics,
) -> Result<Setup, CommandError> {
    let limits = Limits {
        sync_interval: config.sync_interval,
        heartbeat: config.heartbeat,
        ..Limits::default()
    };
    let clients =
        ClientFactory::new(config.gateways.clone(), &identity, ClientLimits::default()).map_err(|error| {
            let message = "the TLS provider cannot speak QUIC".to_owned();
            CommandError::Failed {
                message,
                source: Some(Box::new(error)),
            }
        })?;
    let (device, data_dir) = (identity.device, config.data_dir.clone());
    Ok(Setup {
        limits,
        device,
        queue,
        data_dir,
        clients,
        metrics,
        seed: rand::random(),
    })
}

/// A runtime with one thread: one exchange at a time needs no more, and both requests of it leave in one datagram.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| CommandError::Failed {
            message: "cannot start the runtime".to_owned(),
            source: Some(Box::new(source)),
        })
}

/// A driver that ended early, as an error of the command.
pub(super) fn failed(error: DriverError) -> CommandError {
    match error {
        DriverError::Storage(error) => CommandError::Storage(error),
        other => CommandError::Failed {
            message: "the agent cannot go on".to_owned(),
            source: Some(Box::new(other)),
        },
    }
}
