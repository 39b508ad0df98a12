//! An API server and a Postgres for one test, and two replicas of the gateway's store on them.

use std::sync::Arc;

use anyhow::Result;
use apollo_gateway::{
    config::KubeChoice,
    metrics::Metrics,
    store::{
        history::History,
        kube::{KubeStore, Objects},
        postgres::{HistoryOptions, PostgresHistory},
    },
};
use apollo_tests::harness::{
    Postgres, PostgresOptions, Sandbox,
    kube::{Kind, KubeApi},
    skip,
};
use apollo_wire::ProcessRef;
use serde_json::json;

use crate::store_contract::Replicas;

/// Both servers, with the definitions in place.
pub(crate) struct Cluster {
    first: KubeStore,
    second: KubeStore,
    pub(crate) api: KubeApi,
    _postgres: Postgres,
    _sandbox: Sandbox,
}

impl Cluster {
    /// `None` if this machine has not what it takes: the test is left out.
    pub(crate) async fn start(test: &str) -> Result<Option<Self>> {
        if let Some(why) = KubeApi::missing().or_else(Postgres::missing) {
            skip(test, &why)?;
            return Ok(None);
        }
        let sandbox = Sandbox::new()?;
        let api = KubeApi::start(&sandbox)?;
        api.client().install_crds()?;
        let postgres = Postgres::start_with(PostgresOptions::default())?;
        Ok(Some(Self {
            first: replica(&api, &postgres).await?,
            second: replica(&api, &postgres).await?,
            api,
            _postgres: postgres,
            _sandbox: sandbox,
        }))
    }
}

async fn replica(api: &KubeApi, postgres: &Postgres) -> Result<KubeStore> {
    let choice = KubeChoice {
        kubeconfig: Some(api.kubeconfig()),
        ..KubeChoice::default()
    };
    let options = HistoryOptions {
        url: postgres.url(),
        retention: None,
    };
    let history = PostgresHistory::open(&options).await?;
    let objects = Objects::open(&choice, Arc::new(Metrics::default())).await?;
    Ok(objects.with_history(History::Postgres(history)))
}

impl Replicas for Cluster {
    type Store = KubeStore;

    fn first(&self) -> &KubeStore {
        &self.first
    }

    fn second(&self) -> &KubeStore {
        &self.second
    }

    async fn apply(&self, yaml: &str) {
        self.api.client().apply_yaml(yaml).unwrap();
    }

    async fn delete_process(&self, process: &ProcessRef) {
        let kind = Kind::DEVICE_PROCESSES.within(process.namespace());
        self.api.client().delete(kind, process.name()).unwrap();
    }

    async fn put_condition_of_another(&self, process: &ProcessRef, kind: &str) {
        let processes = Kind::DEVICE_PROCESSES.within(process.namespace());
        let condition = json!({
            "apiVersion": "apollo.azure.com/v1alpha1", "kind": "DeviceProcess",
            "metadata": {"name": process.name(), "namespace": process.namespace()},
            "status": {"conditions": [{"type": kind, "status": "True"}]},
        });
        self.api
            .client()
            .apply_status(processes, process.name(), "another-controller", &condition)
            .unwrap();
    }
}
