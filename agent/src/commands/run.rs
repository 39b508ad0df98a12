//! `apollo-agent run`: the long-running agent.

use clap::Args;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::agent::{self, Configured};
use crate::{
    client::Identity,
    config::{Config, ConfigArgs},
    driver::{Driver, Supervision},
    exit::{CommandError, Exit},
    metrics::Metrics,
    queue::Queue,
    run_lock::RunLock,
    supervisor::{Setup, SupervisorHandle},
    telemetry,
};

/// Observations between the supervisor and the disk. Full means that the supervisor waits for the disk; a start of all
/// processes of a large device fits.
const OBSERVATIONS: usize = 256;

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each setting can also come from the environment (APOLLO_AGENT_SYNC_INTERVAL) or from the file of \
                  --config;\na flag wins over the environment, that over the file, that over the default.\n\n\
                  Example:\n  apollo-agent run --gateway https://gateway.example.com:4433 --ca ca.pem \\\n    \
                  --cert buoy-17.pem --key buoy-17.key --data-dir /var/lib/apollo"
)]
pub struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// Configuration, certificates, the database, an address for metrics that is taken.
pub fn run(args: RunArgs) -> Result<Exit, CommandError> {
    let (config, identity) = match agent::configure(&args.config)? {
        Configured::Go(configured) => *configured,
        Configured::Done(exit) => return Ok(exit),
    };
    telemetry::start(config.log_format);
    let queue = Queue::open(&config.data_dir, config.queue)?;
    queue.verify()?;
    agent::runtime()?.block_on(serve(config, identity, queue))
}

async fn serve(config: Config, identity: Identity, queue: Queue) -> Result<Exit, CommandError> {
    let stop = stop_signal()?;
    // Held until the end.
    let _running = RunLock::take(&config.data_dir)
        .await
        .map_err(|error| CommandError::Failed {
            message: format!("cannot run on {} (data-dir)", config.data_dir.display()),
            source: Some(Box::new(error)),
        })?;
    let metrics = Metrics::default();
    if let Some(listen) = config.metrics_listen {
        let address = metrics
            .serve(listen)
            .await
            .map_err(|source| CommandError::Failed {
                message: format!("cannot serve metrics on {listen} (metrics-listen)"),
                source: Some(Box::new(source)),
            })?;
        tracing::info!(%address, "serving metrics");
    }
    let device = identity.device.clone();
    let setup = agent::setup(&config, identity, queue, metrics)?;
    let supervision = supervise(&config)?;
    tracing::info!(%device, version = env!("CARGO_PKG_VERSION"), "agent started");
    let driver = Driver::new(setup, Some(supervision))
        .await
        .map_err(agent::failed)?;
    let summary = driver.run(stop).await.map_err(agent::failed)?;
    tracing::info!(pending = summary.pending, "agent ended");
    Ok(Exit::Ok)
}

/// Starts the supervisor with a connection of its own to the database.
fn supervise(config: &Config) -> Result<Supervision, CommandError> {
    let records = Queue::open(&config.data_dir, config.queue)?;
    let (sender, observations) = mpsc::channel(OBSERVATIONS);
    let setup = Setup::new(config.data_dir.clone(), rand::random());
    let handle =
        SupervisorHandle::start(setup, Box::new(records), sender).map_err(|error| CommandError::Failed {
            message: "cannot start the supervisor".to_owned(),
            source: Some(Box::new(error)),
        })?;
    Ok(Supervision { handle, observations })
}

/// Done when SIGTERM or SIGINT arrives. Installed before anything is started, so that none is missed.
fn stop_signal() -> Result<impl Future<Output = ()>, CommandError> {
    let listen = |kind| {
        signal(kind).map_err(|source| CommandError::Failed {
            message: "cannot listen for signals".to_owned(),
            source: Some(Box::new(source)),
        })
    };
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            // Cancel-safe: the loser is dropped with this future, which is done then.
            _ = terminate.recv() => tracing::info!("SIGTERM: ending"),
            _ = interrupt.recv() => tracing::info!("SIGINT: ending"),
        }
    })
}
