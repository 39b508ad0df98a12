//! The API server that tests start is what they take it for: conflicts, permissions, the audit log, restarts.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{
    PATIENCE, Sandbox,
    kube::{AuditEntry, Kind, KubeApi, Part, Rule, rules_of},
    skip, wait,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const PROCESSES: Kind<'static> = Kind::DEVICE_PROCESSES.within("default");

/// An API server that knows Apollo's kinds. Fields in the order they must be dropped.
struct Cluster {
    api: KubeApi,
    _sandbox: Sandbox,
}

impl Cluster {
    /// `None`, said loudly, if the machine has none.
    fn start(test: &str) -> Result<Option<Self>> {
        if let Some(why) = KubeApi::missing() {
            skip(test, &why)?;
            return Ok(None);
        }
        let sandbox = Sandbox::new()?;
        let api = KubeApi::start(&sandbox)?;
        api.client().install_crds()?;
        Ok(Some(Self {
            api,
            _sandbox: sandbox,
        }))
    }
}

/// A DeviceProcess as an operator writes it.
fn process(name: &str) -> Value {
    json!({
        "apiVersion": "apollo.azure.com/v1alpha1", "kind": "DeviceProcess",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"deviceRef": {"name": "buoy-17"}, "command": ["/bin/true"]},
    })
}

#[test]
fn a_stale_resource_version_is_a_conflict() -> Result<()> {
    let Some(Cluster { api, .. }) = &Cluster::start("a_stale_resource_version_is_a_conflict")? else {
        return Ok(());
    };
    let kube = api.client();
    let created = kube.create(PROCESSES, &process("collector"))?;
    let version = created["metadata"]["resourceVersion"].clone();
    let patch = |state: &str| json!({"metadata": {"resourceVersion": version}, "status": {"state": state}});

    let written = kube.merge_patch_status(PROCESSES, "collector", &patch("Running"))?;
    assert_eq!(written["status"]["state"], "Running");
    let stale = kube
        .merge_patch_status(PROCESSES, "collector", &patch("Failed"))
        .unwrap_err();
    assert_eq!(stale.code(), Some(409), "{stale}");
    assert_eq!(kube.get(PROCESSES, "collector")?["status"]["state"], "Running");
    // A status is written through its own path alone.
    kube.merge_patch(PROCESSES, "collector", &json!({"status": {"state": "Failed"}}))?;
    assert_eq!(kube.get(PROCESSES, "collector")?["status"]["state"], "Running");
    Ok(())
}

#[test]
fn a_user_may_do_what_the_rules_say_and_nothing_else() -> Result<()> {
    let Some(Cluster { api, .. }) = &Cluster::start("a_user_may_do_what_the_rules_say_and_nothing_else")?
    else {
        return Ok(());
    };
    api.client().create(PROCESSES, &process("collector"))?;
    let role = json!({"kind": "ClusterRole", "rules": [
        {"apiGroups": ["apollo.azure.com"], "resources": ["devices", "deviceprocesses/status"], "verbs": ["list", "patch"]},
    ]});
    let rules = rules_of(&role)?;
    let gateway = api.client_of("gateway", &rules)?;

    gateway.list(Kind::DEVICES, "")?;
    gateway.merge_patch_status(PROCESSES, "collector", &json!({"status": {"state": "Running"}}))?;
    gateway.get_path("/version")?;
    let denied = gateway.list(Kind::DEVICE_PROCESSES, "").unwrap_err();
    assert_eq!(denied.code(), Some(403));
    assert_eq!(
        denied.to_string(),
        "403: deviceprocesses.apollo.azure.com is forbidden: User \"gateway\" cannot list resource \
         \"deviceprocesses\" in API group \"apollo.azure.com\" at the cluster scope"
    );
    let main_path = gateway.merge_patch(PROCESSES, "collector", &json!({"spec": {}}));
    assert_eq!(main_path.unwrap_err().code(), Some(403));

    // Other rules hold at once, for the token handed out before; none at all is nothing, not everything.
    api.user(
        "gateway",
        &[Rule::new("list", "apollo.azure.com", "deviceprocesses")],
    )?;
    gateway.list(Kind::DEVICE_PROCESSES, "")?;
    api.user("gateway", &[])?;
    assert_eq!(
        gateway.list(Kind::DEVICE_PROCESSES, "").unwrap_err().code(),
        Some(403)
    );
    Ok(())
}

#[test]
fn the_audit_log_tells_each_request_once() -> Result<()> {
    let Some(Cluster { api, .. }) = &Cluster::start("the_audit_log_tells_each_request_once")? else {
        return Ok(());
    };
    let user = api.client_of(
        "writer",
        &[
            Rule::new("create", "apollo.azure.com", "deviceprocesses"),
            Rule::new("patch", "apollo.azure.com", "deviceprocesses/status"),
            Rule::new("watch", "apollo.azure.com", "devices"),
        ],
    )?;
    let mark = api.audit_mark()?;
    user.create(PROCESSES, &process("collector"))?;
    for n in 0..10 {
        user.merge_patch_status(
            PROCESSES,
            "collector",
            &json!({"status": {"message": n.to_string()}}),
        )?;
    }
    // One that is answered, with no event at all, and ends after a second; one that is denied.
    for kind in [Kind::DEVICES, PROCESSES] {
        ensure!(
            user.list(kind, "watch=true&timeoutSeconds=1").is_err(),
            "an object"
        );
    }
    ensure!(user.get(PROCESSES, "collector").is_err(), "a get was allowed");

    let counts = wait::until("the last request in the log", PATIENCE, || {
        let mut counts = BTreeMap::new();
        let entries = api.audit_since(mark)?;
        for AuditEntry {
            verb,
            resource,
            subresource,
            name,
            code,
            ..
        } in entries.into_iter().filter(|entry| entry.user == "writer")
        {
            *counts
                .entry(format!("{verb} {resource}/{subresource} {name} {code}"))
                .or_insert(0) += 1;
        }
        let last = counts.contains_key("get deviceprocesses/ collector 403");
        Ok(last.then_some(counts))
    })?;
    let expected = [
        ("create deviceprocesses/ collector 201", 1),
        ("patch deviceprocesses/status collector 200", 10),
        ("watch devices/  200", 1),
        ("watch deviceprocesses/  403", 1),
        ("get deviceprocesses/ collector 403", 1),
    ];
    assert_eq!(
        counts,
        expected.map(|(what, count)| (what.to_owned(), count)).into()
    );
    Ok(())
}

#[test]
fn each_part_restarts_with_its_data_and_the_same_token() -> Result<()> {
    let Some(Cluster { api, .. }) = &Cluster::start("each_part_restarts_with_its_data_and_the_same_token")?
    else {
        return Ok(());
    };
    let kube = api.client();
    let created = kube.create(PROCESSES, &process("collector"))?;
    for (part, signal) in [
        (Part::ApiServer, Signal::SIGKILL),
        (Part::Etcd, Signal::SIGKILL),
        (Part::ApiServer, Signal::SIGTERM),
        (Part::Etcd, Signal::SIGTERM),
    ] {
        api.stop(part, signal)?;
        if part == Part::ApiServer {
            assert_eq!(
                kube.get(PROCESSES, "collector").unwrap_err().code(),
                None,
                "nobody listens"
            );
        }
        api.start_part(part)?;
        api.await_ready()?;
        let read = kube
            .get(PROCESSES, "collector")
            .with_context(|| format!("{part:?} after {signal}"))?;
        assert_eq!(read, created);
        assert_eq!(kube.items(PROCESSES)?.len(), 1);
    }
    Ok(())
}

#[test]
fn kubectl_and_manifests_reach_it() -> Result<()> {
    let Some(Cluster { api, .. }) = &Cluster::start("kubectl_and_manifests_reach_it")? else {
        return Ok(());
    };
    let yaml = "apiVersion: v1\nkind: Namespace\nmetadata: {name: fleet}\n---\n\
                apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: gateway, namespace: fleet}\n\
                spec:\n  selector: {matchLabels: {app: gateway}}\n  template:\n    metadata: {labels: {app: gateway}}\n    \
                spec:\n      containers:\n      - name: gateway\n        ports:\n        \
                - {containerPort: 4433, protocol: UDP}\n        - {containerPort: 4433, protocol: TCP}\n";
    let applied = api.client().apply_yaml(yaml)?;
    let ports = &applied[1]["spec"]["template"]["spec"]["containers"][0]["ports"];
    assert_eq!(
        ports.as_array().map(Vec::len),
        Some(2),
        "one port, two protocols: {ports}"
    );

    let process = process("collector").to_string();
    api.kubectl(&["apply", "--server-side", "-f", "-"], Some(process.as_bytes()))?
        .success()?;
    let names = api
        .kubectl(&["get", "dp,deploy", "-A", "-o", "name"], None)?
        .success()?
        .stdout;
    assert_eq!(
        names,
        "deviceprocess.apollo.azure.com/collector\ndeployment.apps/gateway\n"
    );
    Ok(())
}
