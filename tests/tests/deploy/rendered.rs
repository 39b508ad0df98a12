//! What kustomize makes of a directory of `deploy/kubernetes/`.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{
    PATIENCE, Running, Sandbox,
    kube::{KubeApi, documents},
};
use serde_json::Value;

use crate::path;

/// Every directory that somebody may apply.
pub(crate) const KUSTOMIZATIONS: &[&str] = &["base", "overlays/production", "overlays/evaluation"];
/// The objects of one kustomization.
pub(crate) struct Rendered {
    /// Its directory below `deploy/kubernetes/`.
    pub(crate) name: &'static str,
    objects: Vec<Value>,
}

impl Rendered {
    /// `kubectl kustomize`
    pub(crate) fn of(name: &'static str) -> Result<Self> {
        let logs = Sandbox::new()?;
        let mut command = Command::new(KubeApi::kubectl_program()?);
        command.arg("kustomize").arg(path("deploy/kubernetes").join(name));
        let done = Running::finish("kustomize", command, logs.path(), None, PATIENCE)?.success()?;
        ensure!(done.stderr.is_empty(), "{name}: kustomize warns: {}", done.stderr);
        let objects = documents(&done.stdout).with_context(|| name.to_owned())?;
        Ok(Self { name, objects })
    }

    /// The object of a kind and name; `Null` if there is none.
    pub(crate) fn object(&self, kind: &str, name: &str) -> &Value {
        let found = self
            .objects
            .iter()
            .find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
        found.unwrap_or(&Value::Null)
    }

    /// All of a kind.
    pub(crate) fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// Every object.
    pub(crate) fn objects(&self) -> &[Value] {
        &self.objects
    }

    /// The gateway's pods.
    pub(crate) fn pod(&self) -> &Value {
        &self.object("Deployment", "apollo-gateway")["spec"]["template"]
    }

    /// Their one container.
    pub(crate) fn container(&self) -> &Value {
        &self.pod()["spec"]["containers"][0]
    }

    /// Its arguments.
    pub(crate) fn arguments(&self) -> Result<Vec<&str>> {
        let arguments = self.container()["args"].as_array().context("no args")?;
        let words: Option<Vec<_>> = arguments.iter().map(Value::as_str).collect();
        words.with_context(|| format!("args are not texts: {arguments:?}"))
    }

    /// The value of an argument `--flag=value`.
    pub(crate) fn argument(&self, flag: &str) -> Result<&str> {
        let arguments = self.arguments()?;
        let value = arguments
            .iter()
            .find_map(|argument| argument.strip_prefix(flag)?.strip_prefix('='));
        value.with_context(|| format!("{}: no {flag}", self.name))
    }
}
