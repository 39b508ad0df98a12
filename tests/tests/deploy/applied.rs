//! The manifests on a real API server, and the steps of `deploy/README.md` as they stand there.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{
    PATIENCE, Program, Running, Sandbox,
    kube::{Kind, KubeApi},
    skip,
};
use serde_json::Value;

use crate::{
    path, read,
    rendered::{KUSTOMIZATIONS, Rendered},
};

/// Steps that wait for pods: no controller runs any here.
const NEEDS_PODS: &[&str] = &["rollout", "port-forward"];
/// Namespaces that the steps speak of and somebody else has made.
const MONITORING: &str = r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}}"#;

#[test]
fn every_kustomization_is_taken_without_a_warning_and_again_without_a_change() -> Result<()> {
    if let Some(why) = KubeApi::missing() {
        return skip("deploy/kubernetes on an API server", &why);
    }
    for name in KUSTOMIZATIONS {
        let sandbox = Sandbox::new()?;
        let api = KubeApi::start(&sandbox)?;
        let directory = path("deploy/kubernetes").join(name).display().to_string();
        let apply = || -> Result<BTreeMap<String, Value>> {
            let done = api
                .kubectl(&["apply", "--server-side", "-k", &directory, "-o", "json"], None)?
                .success()?;
            ensure!(done.stderr.is_empty(), "{name}: {}", done.stderr);
            let list = done.json()?;
            let items = list["items"].as_array().context("no items")?;
            let version = |item: &Value| {
                let what = format!("{} {}", item["kind"], item["metadata"]["name"]);
                (what, item["metadata"]["resourceVersion"].clone())
            };
            Ok(items.iter().map(version).collect())
        };
        let (first, second) = (apply()?, apply()?);
        ensure!(
            first.len() == Rendered::of(name)?.objects().len(),
            "{name}: {first:?}"
        );
        ensure!(
            first == second,
            "{name}: applying it again changes something: {first:?}, then {second:?}"
        );
    }
    Ok(())
}

/// The commands in the shell blocks of the page's part about Kubernetes.
fn steps(readme: &str) -> Result<Vec<String>> {
    let part = readme
        .split("\n## ")
        .find(|part| part.starts_with("Kubernetes\n"));
    let blocks = part.context("no part about Kubernetes")?.split("\n```");
    let shell = blocks.filter_map(|block| block.strip_prefix("sh\n"));
    Ok(shell.flat_map(|block| block.lines().map(str::to_owned)).collect())
}

/// A directory as the README takes it for granted: `deploy/` in it, the programs in the `PATH`.
fn checkout(sandbox: &Sandbox) -> Result<(PathBuf, PathBuf)> {
    use std::os::unix::fs::symlink;
    let (root, bin) = (sandbox.join("checkout"), sandbox.join("bin"));
    std::fs::create_dir(&root)?;
    std::fs::create_dir(&bin)?;
    symlink(path("deploy").canonicalize()?, root.join("deploy"))?;
    std::fs::write(
        root.join("postgres-ca.pem"),
        "the authority of a server's certificate",
    )?;
    symlink(KubeApi::kubectl_program()?, bin.join("kubectl"))?;
    symlink(Program::Gateway.path()?, bin.join(Program::Gateway.name()))?;
    Ok((root, bin))
}

#[test]
fn the_steps_of_the_readme_work() -> Result<()> {
    if let Some(why) = KubeApi::missing() {
        return skip("deploy/README.md on an API server", &why);
    }
    let sandbox = Sandbox::new()?;
    let api = KubeApi::start(&sandbox)?;
    api.kubectl(&["apply", "-f", "-"], Some(MONITORING.as_bytes()))?
        .success()?;
    let (root, bin) = checkout(&sandbox)?;
    let search = format!("{}:{}", bin.display(), std::env::var("PATH")?);
    let steps = steps(&read("deploy/README.md")?)?;
    ensure!(steps.len() > 10, "only {steps:?}");
    for step in &steps {
        if NEEDS_PODS.iter().any(|word| step.contains(word)) {
            continue;
        }
        let mut shell = Command::new("sh");
        shell
            .args(["-c", step])
            .current_dir(&root)
            .env("PATH", &search)
            .env("KUBECONFIG", api.kubeconfig());
        let done = Running::finish("step", shell, sandbox.path(), None, PATIENCE)?
            .success()
            .with_context(|| step.clone())?;
        ensure!(done.stderr.is_empty(), "{step}: {}", done.stderr);
    }
    let url = steps.iter().find(|step| step.starts_with("printf"));
    let url = url.and_then(|step| step.split('\'').nth(1));
    what_the_pods_read_is_there(&api, url.context("no URL of history")?)
}

/// Every Secret that the pods name exists, with every key they read.
fn what_the_pods_read_is_there(api: &KubeApi, history_url: &str) -> Result<()> {
    let rendered = Rendered::of("overlays/production")?;
    let secret = |name: &Value, key: &str| -> Result<()> {
        let name = name.as_str().context("a Secret without a name")?;
        let stored = api
            .client()
            .get(Kind::of("v1", "secrets").within("apollo"), name)?;
        ensure!(!stored["data"][key].is_null(), "{name} has no {key}");
        Ok(())
    };
    let list = |of: &Value| -> Result<Vec<Value>> { of.as_array().cloned().context("not a list") };
    let mounts = list(&rendered.container()["volumeMounts"])?;
    let volumes = list(&rendered.pod()["spec"]["volumes"])?;
    let mounted = |file: &str| -> Result<()> {
        let (directory, key) = file.rsplit_once('/').context("no directory")?;
        let mount = mounts.iter().find(|mount| mount["mountPath"] == directory);
        let name = &mount.with_context(|| format!("{file} is on no volume"))?["name"];
        let volume = volumes.iter().find(|volume| volume["name"] == *name);
        secret(&volume.context("no such volume")?["secret"]["secretName"], key)
    };
    for flag in ["--tls-cert", "--tls-key", "--client-ca"] {
        mounted(rendered.argument(flag)?)?;
    }
    let url = &rendered.container()["env"][0]["valueFrom"]["secretKeyRef"];
    secret(&url["name"], url["key"].as_str().context("no key")?)?;
    let authority = history_url.split_once("sslrootcert=").context("no authority")?;
    mounted(authority.1)
}
