//! What tests of the Kubernetes store start from: an API server with Apollo's kinds, Postgres, and gateways that may do
//! what `deploy/` lets them do and nothing else.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{AuditEntry, AuditMark, Kind, KubeApi, Rule, documents, rules_of};
use crate::harness::{Gateway, GatewayOptions, KubeStore, Pki, Postgres, Sandbox};

/// Where the permissions are that `deploy/` gives a gateway.
const RBAC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kubernetes/base/rbac.yaml");

/// An API server, a Postgres, and no gateway yet. Declare gateways after it, so that they are dropped before it.
pub struct KubeWorld {
    /// Where gateways keep history.
    pub postgres: Postgres,
    /// Where objects are.
    pub api: KubeApi,
    /// The gateways' and the devices' certificates.
    pub pki: Pki,
    /// Where everything is.
    pub sandbox: Sandbox,
}

impl KubeWorld {
    /// The user that gateways are.
    pub const USER: &str = "apollo-gateway";

    /// What is missing on this machine, for [`skip`](crate::harness::skip()).
    pub fn missing() -> Option<String> {
        KubeApi::missing().or_else(Postgres::missing)
    }

    /// Starts API server and Postgres.
    pub fn new() -> anyhow::Result<Self> {
        Self::with_api_arguments(&[])
    }

    /// The same with further arguments of the API server.
    pub fn with_api_arguments(arguments: &[&str]) -> anyhow::Result<Self> {
        let sandbox = Sandbox::new()?;
        let pki = Pki::new(&sandbox)?;
        let api = KubeApi::start_with(&sandbox, "kube", arguments)?;
        api.client().install_crds()?;
        let postgres = Postgres::start()?;
        Ok(Self {
            postgres,
            api,
            pki,
            sandbox,
        })
    }

    /// The permissions of `deploy/kubernetes/base/rbac.yaml`.
    pub fn rules() -> anyhow::Result<Vec<Rule>> {
        let text = std::fs::read_to_string(RBAC).context(RBAC)?;
        let mut rules = Vec::new();
        for role in documents(&text)? {
            if role["kind"] == "ClusterRole" || role["kind"] == "Role" {
                rules.extend(rules_of(&role)?);
            }
        }
        ensure!(!rules.is_empty(), "no rules in {RBAC}");
        Ok(rules)
    }

    /// A gateway's kubeconfig, with the permissions of `deploy/`.
    pub fn kubeconfig(&self) -> anyhow::Result<PathBuf> {
        self.api.user(Self::USER, &Self::rules()?)
    }

    /// How a gateway called `name` is started here, with further arguments of `serve`.
    pub fn options(&self, name: &str, arguments: &[&str]) -> anyhow::Result<GatewayOptions> {
        let options = GatewayOptions {
            name: name.to_owned(),
            kube: Some(KubeStore {
                kubeconfig: self.kubeconfig()?,
                history: self.postgres.url(),
            }),
            ..GatewayOptions::default()
        };
        Ok(options.with(arguments))
    }

    /// Starts one and waits until it serves.
    pub fn gateway(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Gateway> {
        Gateway::spawn(&self.sandbox, &self.pki, &self.options(name, arguments)?)
    }

    /// A DeviceProcess as an operator writes it, bound to `device`.
    pub fn process(name: &str, device: &str) -> Value {
        json!({
            "apiVersion": Kind::DEVICE_PROCESSES.api_version, "kind": "DeviceProcess",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"deviceRef": {"name": device}, "command": ["/bin/true"]},
        })
    }

    /// Creates a DeviceProcess `default/name`.
    pub fn bind(&self, name: &str, device: &str) -> anyhow::Result<Value> {
        let created = self
            .api
            .client()
            .create(Self::PROCESSES, &Self::process(name, device));
        created.with_context(|| name.to_owned())
    }

    /// The DeviceProcesses of the namespace that tests use.
    pub const PROCESSES: Kind<'static> = Kind::DEVICE_PROCESSES.within("default");

    /// The status of a DeviceProcess, as the API server has it.
    pub fn status(&self, name: &str) -> anyhow::Result<Value> {
        Ok(self.api.client().get(Self::PROCESSES, name)?["status"].clone())
    }

    /// The status of a Device, as the API server has it.
    pub fn device_status(&self, name: &str) -> anyhow::Result<Value> {
        Ok(self.api.client().get(Kind::DEVICES, name)?["status"].clone())
    }

    /// What gateways have asked of the API server since `mark`.
    pub fn asked_since(&self, mark: AuditMark) -> anyhow::Result<Vec<AuditEntry>> {
        let mut entries = self.api.audit_since(mark)?;
        entries.retain(|entry| entry.user == Self::USER);
        Ok(entries)
    }
}
