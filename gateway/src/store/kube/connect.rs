//! Into the cluster: the kubeconfig or the pod's own account, and a client whose answers are heard.

use std::{path::PathBuf, time::Duration};

use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::{failure::chain, hearing::HearingLayer};
use crate::config::KubeChoice;

/// Time for a TCP connection and its handshake: the API server is near, and a start must fail within seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// There is no way into the cluster: the configuration is at fault.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// `--kubeconfig` cannot be used.
    #[error("--kubeconfig {path}: {reason}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Nothing was named and nothing was found, or what was found cannot be used.
    #[error(
        "--store kube: no way into a cluster: {reason}; give --kubeconfig, set $KUBECONFIG, or run in a pod with a service \
         account"
    )]
    Inferred {
        /// What was wrong with each.
        reason: String,
    },
    /// Certificates or credentials cannot be used.
    #[error("--store kube: the credentials cannot be used: {0}")]
    Credentials(String),
}

/// Reads the configuration as kubectl does.
pub(super) async fn config(choice: &KubeChoice) -> Result<Config, ConnectError> {
    let options = KubeConfigOptions {
        context: choice.context.clone(),
        ..KubeConfigOptions::default()
    };
    let mut config = match &choice.kubeconfig {
        Some(path) => {
            let refused = |error: &dyn std::error::Error| ConnectError::Kubeconfig {
                path: path.clone(),
                reason: chain(error),
            };
            let file = Kubeconfig::read_from(path).map_err(|error| refused(&error))?;
            Config::from_custom_kubeconfig(file, &options)
                .await
                .map_err(|error| refused(&error))?
        }
        None => inferred(&options).await?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // A 429 is the write queue's to honour, and a 503 the device's: hidden retries would outlast the exchange.
    config.default_retry = false;
    Ok(config)
}

/// `$KUBECONFIG` or `~/.kube/config` where there is one, else the pod's own account. A context is a kubeconfig's.
async fn inferred(options: &KubeConfigOptions) -> Result<Config, ConnectError> {
    let from_file = match Config::from_kubeconfig(options).await {
        Ok(config) => return Ok(config),
        Err(error) => error,
    };
    if options.context.is_some() {
        return Err(ConnectError::Inferred {
            reason: chain(&from_file),
        });
    }
    Config::incluster().map_err(|from_pod| ConnectError::Inferred {
        reason: format!("{}; {}", chain(&from_file), chain(&from_pod)),
    })
}

/// A client for it.
pub(super) fn client(config: Config, layer: &HearingLayer) -> Result<Client, ConnectError> {
    let builder =
        ClientBuilder::try_from(config).map_err(|error| ConnectError::Credentials(chain(&error)))?;
    Ok(builder.with_layer(layer).build())
}
