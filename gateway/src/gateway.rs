//! One gateway: everything is bound in [`Gateway::build`], or nothing is; [`Gateway::run`] serves until told to stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use apollo_gateway_core::policy::{Policy, Registration};
use quinn::Endpoint;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::{
    admin,
    api::Api,
    clock,
    config::{Config, KubeChoice, Register, StoreChoice},
    events, lifecycle,
    listener::{self, bind},
    metrics::Metrics,
    service::Service,
    store::{
        chosen::ChosenStore,
        embedded::{self, EmbeddedStore, Missing},
        history::History,
        kube::{self, KubeStore},
        postgres::{HistoryOptions, OpenHistoryError, PostgresHistory},
    },
    tls::{self, TlsError},
};

/// Part of the grace kept for closing connections and telling their peers.
const CLOSE_RESERVE: Duration = Duration::from_millis(500);

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A PEM file, or what is in it.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store.
    #[error(transparent)]
    Store(#[from] embedded::OpenError),
    /// The API server.
    #[error(transparent)]
    Kube(#[from] kube::OpenError),
    /// The history database.
    #[error(transparent)]
    History(#[from] OpenHistoryError),
    /// A UDP port.
    #[error(transparent)]
    Listen(#[from] bind::BindError),
    /// The TCP port.
    #[error(transparent)]
    Admin(#[from] admin::BindError),
}

/// A gateway with all its ports open, not yet serving.
pub struct Gateway {
    endpoints: Vec<Endpoint>,
    admin: admin::Admin,
    addresses: (Vec<SocketAddr>, SocketAddr),
    shared: Arc<listener::Shared<ChosenStore>>,
    service: Arc<Service<ChosenStore>>,
    controller: lifecycle::Controller,
    shutdown_grace: Duration,
}

impl Gateway {
    /// Reads the PEM files, opens the store and all ports.
    pub async fn build(config: &Config) -> Result<Self, BuildError> {
        let tls = tls::reload::first(&config.tls)?;
        let endpoints = bind::bind(&config.listen, &tls.load())?;
        let admin_listener = admin::bind(config.admin_listen).await?;
        let metrics = Arc::new(match config.store {
            StoreChoice::Embedded(_) => Metrics::default(),
            StoreChoice::Kube(_) => Metrics::default().with_kube(),
        });
        // Last, so that a gateway that cannot serve leaves no new file behind.
        let store = match &config.store {
            StoreChoice::Embedded(path) => ChosenStore::Embedded(EmbeddedStore::open(path, Missing::Create)?),
            StoreChoice::Kube(choice) => ChosenStore::Kube(kube_store(choice, metrics.clone()).await?),
        };
        let (controller, lifecycle) = lifecycle::begin();
        let service = Service::new(
            store,
            policy(config),
            metrics.clone(),
            lifecycle.clone(),
            clock::now,
        );
        let service = Arc::new(service);
        let addresses = (
            endpoints
                .iter()
                .filter_map(|endpoint| endpoint.local_addr().ok())
                .collect(),
            admin_listener.address,
        );
        let shared = Arc::new(listener::Shared {
            api: Api::new(service.clone(), metrics.clone(), config.max_body.bytes()),
            tls,
            metrics: metrics.clone(),
            lifecycle,
            clock: clock::now,
            load: listener::load::Load::new(metrics.connections.clone()),
        });
        Ok(Self {
            endpoints,
            admin: admin::Admin::new(admin_listener, service.clone(), metrics),
            addresses,
            shared,
            service,
            controller,
            shutdown_grace: config.shutdown_grace,
        })
    }

    /// The UDP addresses and the TCP address, with the ports the system chose for port 0.
    pub fn addresses(&self) -> (&[SocketAddr], SocketAddr) {
        (&self.addresses.0, self.addresses.1)
    }

    /// Serves until `stop` resolves; `serving` is called once every request can be answered. Then drains: not ready, GOAWAY, finish what is under way, close. What is not
    /// finished within the grace, or when `hurry` resolves, is cut off.
    pub async fn run(
        self,
        serving: impl FnOnce(),
        stop: impl Future<Output = ()>,
        hurry: impl Future<Output = ()>,
    ) {
        let mut background = JoinSet::new();
        background.spawn(self.service.clone().follow());
        background.spawn(self.admin.run());
        background.spawn(self.service.store().clone().upkeep());
        let (endpoints, current) = (self.endpoints.clone(), self.shared.tls.clone());
        background.spawn(tls::reload::watch(current, move |loaded| {
            for endpoint in &endpoints {
                endpoint.set_server_config(Some(bind::server_config(loaded)));
            }
        }));
        let mut listeners = JoinSet::new();
        for endpoint in &self.endpoints {
            listeners.spawn(listener::run(endpoint.clone(), self.shared.clone()));
        }
        let mut stop = std::pin::pin!(stop);
        tokio::select! {
            () = self.service.index.ready() => {
                events::Serving {
                    udp: &self.addresses.0,
                    admin: self.addresses.1,
                }
                .emit();
                serving();
                stop.await;
            }
            () = &mut stop => {}
        }
        events::DrainBegun {
            grace: self.shutdown_grace,
        }
        .emit();
        let deadline = Instant::now() + self.shutdown_grace;
        self.controller.drain();
        let finished = async { while listeners.join_next().await.is_some() {} };
        let complete = tokio::select! {
            finished = timeout_at(deadline - CLOSE_RESERVE, finished) => finished.is_ok(),
            () = hurry => false,
        };
        drop(listeners);
        let no_error = quinn::VarInt::from_u32(0x100); // H3_NO_ERROR
        for endpoint in &self.endpoints {
            endpoint.close(no_error, b"");
            // A peer that does not answer is not waited for past the deadline.
            let _ = timeout_at(deadline, endpoint.wait_idle()).await;
        }
        events::DrainEnded { complete }.emit();
    }
}

/// The store on the API server, and history beside it: both at once, so that a start that fails does so within 5 s.
async fn kube_store(choice: &KubeChoice, metrics: Arc<Metrics>) -> Result<KubeStore, BuildError> {
    let history = async {
        let Some(url) = &choice.history else {
            return Ok(History::None);
        };
        let options = HistoryOptions {
            url: url.as_str().to_owned(),
            retention: choice.history_retention,
        };
        Ok(History::Postgres(PostgresHistory::open(&options).await?))
    };
    let (history, objects): (Result<History, BuildError>, _) =
        tokio::join!(history, kube::Objects::open(choice, metrics));
    let store = objects?.with_history(history?);
    if choice.history.is_none() {
        events::HistoryNotKept.emit();
    }
    Ok(store)
}

fn policy(config: &Config) -> Policy {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Policy {
        max_future_skew_ms: millis(config.max_future_skew),
        max_age_ms: millis(config.max_age),
        stale_after_ms: millis(config.stale_after),
        registration: match config.register {
            Register::Auto => Registration::Auto,
            Register::Manual => Registration::Manual,
        },
        ..Policy::default()
    }
}
