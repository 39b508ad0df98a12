//! `serve`: configuration, ports, then the gateway until SIGTERM or SIGINT.

use std::{collections::BTreeMap, io::Write, path::PathBuf};

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    config::{self, Config, Layers},
    exit::Failure,
    gateway::{BuildError, Gateway},
    store::{
        kube::{self, PreflightError},
        postgres::OpenHistoryError,
    },
};

/// `serve`. Values are text here: [`config`] reads them together with the environment and the file, and reports all that
/// is wrong at once.
#[derive(Debug, Args)]
#[command(
    after_help = "Every flag can also be a key of the --config file, or an environment variable: --stale-after is
stale-after and APOLLO_GATEWAY_STALE_AFTER. A flag beats the environment beats the file beats the default.

Examples:
  apollo-gateway serve --tls-cert pki/gateway.pem --tls-key pki/gateway.key --client-ca pki/ca.pem
  apollo-gateway serve --config /etc/apollo/gateway.toml --listen 0.0.0.0:4433 --listen '[::]:4434'
  apollo-gateway serve --config /etc/apollo/gateway.toml --check-config
  apollo-gateway serve --config gateway.toml --store kube --history none"
)]
pub struct ServeArgs {
    /// UDP address for devices, HTTP/3 (repeatable) [default: 0.0.0.0:4433]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// TCP address for health, metrics, read API and dashboard [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,
    /// Where objects and history live [default: embedded:./apollo-gateway.db]
    #[arg(long, value_name = "embedded:PATH|kube")]
    store: Option<String>,
    /// Kubeconfig of the kube store [default: $KUBECONFIG, ~/.kube/config, else the pod's service account]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<String>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Serve only the DeviceProcesses of this namespace [default: all]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Where the kube store keeps history [default: none]
    #[arg(long, value_name = "postgres://...|none")]
    history: Option<String>,
    /// Delete history that is older; at least --max-age [default: keep it]
    #[arg(long, value_name = "DURATION")]
    history_retention: Option<String>,
    /// The gateway's certificate chain, PEM; reloaded on change
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// Its private key, PEM; reloaded on change
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Authorities that certify devices, PEM; reloaded on change
    #[arg(long, value_name = "FILE")]
    client_ca: Option<String>,
    /// Silence after which a device is no longer Connected [default: 90s]
    #[arg(long, value_name = "DURATION")]
    stale_after: Option<String>,
    /// Largest request body, 32KiB to 16MiB [default: 1MiB]
    #[arg(long, value_name = "SIZE")]
    max_body: Option<String>,
    /// How much later than its report an observation may claim to be [default: 5m]
    #[arg(long, value_name = "DURATION")]
    max_future_skew: Option<String>,
    /// Oldest observation accepted [default: 400d]
    #[arg(long, value_name = "DURATION")]
    max_age: Option<String>,
    /// How long a drain may take [default: 25s]
    #[arg(long, value_name = "DURATION")]
    shutdown_grace: Option<String>,
    /// Whether a device without a Device object gets one (auto) or 403 (manual) [default: auto]
    #[arg(long, value_name = "auto|manual")]
    register: Option<String>,
    /// TOML file with any of these flags as keys
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the effective configuration with the origin of each value, and exit
    #[arg(long)]
    print_config: bool,
    /// Check configuration and PEM files, and exit
    #[arg(long)]
    check_config: bool,
}

impl ServeArgs {
    fn layers(&self) -> Layers {
        let mut flags = BTreeMap::from([("listen", self.listen.clone())]);
        for (key, value) in [
            ("admin-listen", &self.admin_listen),
            ("store", &self.store),
            ("kubeconfig", &self.kubeconfig),
            ("context", &self.context),
            ("namespace", &self.namespace),
            ("history", &self.history),
            ("history-retention", &self.history_retention),
            ("tls-cert", &self.tls_cert),
            ("tls-key", &self.tls_key),
            ("client-ca", &self.client_ca),
            ("stale-after", &self.stale_after),
            ("max-body", &self.max_body),
            ("max-future-skew", &self.max_future_skew),
            ("max-age", &self.max_age),
            ("shutdown-grace", &self.shutdown_grace),
            ("register", &self.register),
        ] {
            flags.insert(key, value.iter().cloned().collect());
        }
        let layers = Layers {
            flags,
            config_file: self.config.clone(),
            ..Layers::default()
        };
        // Variables that are not Unicode cannot be ours.
        layers.with_environment(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }
}

/// Runs `serve`.
pub fn run(args: &ServeArgs) -> Result<(), Failure> {
    let (config, origins) = config::resolve(&args.layers()).map_err(|error| Failure::Usage(error.into()))?;
    if args.print_config {
        print!("{}", config::print(&config, &origins));
        return Ok(());
    }
    if args.check_config {
        crate::tls::reload::first(&config.tls).map_err(|error| Failure::Usage(error.into()))?;
        println!("configuration ok");
        return Ok(());
    }
    tokio::runtime::Runtime::new()
        .context("cannot start the runtime")
        .map_err(Failure::Failed)?
        .block_on(serve(&config))
}

async fn serve(config: &Config) -> Result<(), Failure> {
    // Before anything is announced: whoever sees the first line may send a signal at once.
    let mut signals = Signals::install()
        .context("cannot listen for signals")
        .map_err(Failure::Failed)?;
    let gateway = Gateway::build(config).await.map_err(failure)?;
    let (udp, admin) = gateway.addresses();
    let udp: Vec<String> = udp.iter().map(ToString::to_string).collect();
    let line = format!("listening udp={} admin={admin}\n", udp.join(","));
    let announce = move || {
        // Nobody may be reading; that is no reason not to serve.
        let _ = std::io::stdout()
            .write_all(line.as_bytes())
            .and_then(|()| std::io::stdout().flush());
    };
    let mut again = Signals::install()
        .context("cannot listen for signals")
        .map_err(Failure::Failed)?;
    let hurry = async move {
        again.next().await;
        again.next().await;
    };
    gateway
        .run(announce, async move { signals.next().await }, hurry)
        .await;
    Ok(())
}

fn failure(error: BuildError) -> Failure {
    match error {
        BuildError::Tls(_) => Failure::Usage(error.into()),
        BuildError::Kube(kube::OpenError::Connect(_)) | BuildError::History(OpenHistoryError::Url(_)) => {
            Failure::Usage(error.into())
        }
        BuildError::Kube(kube::OpenError::Preflight(PreflightError::Unreachable { .. })) => {
            Failure::Unreachable(error.into())
        }
        BuildError::Store(_) | BuildError::Kube(_) | BuildError::History(_) => Failure::Storage(error.into()),
        BuildError::Listen(_) | BuildError::Admin(_) => Failure::Failed(error.into()),
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
