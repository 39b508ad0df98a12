//! The manifests for Kubernetes: what stands in several places of them is the same everywhere, and what they tell the
//! gateway it understands.

use std::{collections::BTreeSet, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{PATIENCE, Program, Running, Sandbox, kube::KubeApi, skip};
use serde_json::{Value, json};

use crate::{
    read,
    rendered::{KUSTOMIZATIONS, Rendered},
};

const GATEWAY: &str = "apollo-gateway";

/// `check` of each kustomization.
fn for_each(what: &str, check: impl Fn(&Rendered) -> Result<()>) -> Result<()> {
    if let Some(why) = KubeApi::missing() {
        return skip(what, &why);
    }
    for name in KUSTOMIZATIONS {
        check(&Rendered::of(name)?).with_context(|| format!("{name}: {what}"))?;
    }
    Ok(())
}

/// A number of seconds or of something else.
fn number(value: &Value) -> Result<u64> {
    value.as_u64().with_context(|| format!("not a number: {value}"))
}

#[test]
fn everything_is_in_the_namespace_and_labelled() -> Result<()> {
    let of_the_cluster = ["Namespace", "ClusterRole", "ClusterRoleBinding"];
    for_each("namespace and labels", |rendered| {
        ensure!(rendered.objects().len() >= 8, "objects are missing");
        for object in rendered.objects() {
            let (kind, metadata) = (&object["kind"], &object["metadata"]);
            let clusterwide = of_the_cluster.iter().any(|of_it| kind == of_it);
            ensure!(
                clusterwide == metadata["namespace"].is_null(),
                "{kind}: {metadata}"
            );
            ensure!(
                clusterwide || metadata["namespace"] == "apollo",
                "{kind}: {metadata}"
            );
            ensure!(
                metadata["labels"]["app.kubernetes.io/part-of"] == "apollo",
                "{kind}: {metadata}"
            );
        }
        Ok(())
    })
}

#[test]
fn a_stop_has_the_time_it_needs() -> Result<()> {
    for_each("grace periods", |rendered| {
        let grace = number(&rendered.pod()["spec"]["terminationGracePeriodSeconds"])?;
        let pause = number(&rendered.container()["lifecycle"]["preStop"]["sleep"]["seconds"])?;
        let drain: Duration = humantime::parse_duration(rendered.argument("--shutdown-grace")?)?;
        ensure!(
            grace > pause + drain.as_secs(),
            "{grace} s are too few for {pause} s and {drain:?}"
        );
        // A drain says 503 at once: the pod must count as serving until it is normally over, and a few seconds are.
        let readiness = &rendered.container()["readinessProbe"];
        let unready_after = number(&readiness["periodSeconds"])? * number(&readiness["failureThreshold"])?;
        ensure!(
            unready_after >= 10,
            "unready {unready_after} s after a drain began"
        );
        Ok(())
    })
}

#[test]
fn probes_and_services_lead_to_the_ports_that_the_gateway_listens_on() -> Result<()> {
    for_each("ports", |rendered| {
        let container = rendered.container();
        let port = |name: &str| -> Result<&Value> {
            let ports = container["ports"].as_array().context("no ports")?;
            let port = ports.iter().find(|port| port["name"] == name);
            port.with_context(|| format!("no port {name}"))
        };
        let listens = |flag: &str| -> Result<u64> {
            let address: std::net::SocketAddr = rendered.argument(flag)?.parse()?;
            ensure!(address.ip().is_unspecified(), "{flag} is closed to other pods");
            Ok(address.port().into())
        };
        let (quic, admin) = (listens("--listen")?, listens("--admin-listen")?);
        ensure!(*port("quic")? == json!({"name": "quic", "containerPort": quic, "protocol": "UDP"}));
        ensure!(*port("admin")? == json!({"name": "admin", "containerPort": admin, "protocol": "TCP"}));
        for (probe, at) in [
            ("startupProbe", "/healthz"),
            ("livenessProbe", "/healthz"),
            ("readinessProbe", "/readyz"),
        ] {
            let get = &container[probe]["httpGet"];
            ensure!(*get == json!({"path": at, "port": "admin"}), "{probe}: {get}");
        }

        let service = |name: &str| &rendered.object("Service", name)["spec"];
        let devices = service(GATEWAY);
        ensure!(devices["type"] == "LoadBalancer", "{devices}");
        ensure!(devices["sessionAffinity"] == "ClientIP", "{devices}");
        ensure!(
            devices["ports"]
                == json!([{"name": "quic", "port": quic, "targetPort": "quic", "protocol": "UDP"}])
        );
        let inside = service("apollo-gateway-admin");
        ensure!(inside["type"] == "ClusterIP", "{inside}");
        ensure!(
            inside["ports"]
                == json!([{"name": "admin", "port": admin, "targetPort": "admin", "protocol": "TCP"}])
        );

        let ingress = &rendered.object("NetworkPolicy", GATEWAY)["spec"]["ingress"];
        ensure!(
            ingress[0] == json!({"ports": [{"port": quic, "protocol": "UDP"}]}),
            "{ingress}"
        );
        ensure!(
            ingress[1]["ports"] == json!([{"port": admin, "protocol": "TCP"}]),
            "{ingress}"
        );
        ensure!(
            !ingress[1]["from"][0]["namespaceSelector"]["matchLabels"].is_null(),
            "{ingress}"
        );
        ensure!(ingress[2].is_null(), "{ingress}");
        Ok(())
    })
}

#[test]
fn every_selector_selects_the_gateways_pods() -> Result<()> {
    for_each("selectors", |rendered| {
        let labels = &rendered.pod()["metadata"]["labels"];
        let deployment = &rendered.object("Deployment", GATEWAY)["spec"];
        let spread = rendered.pod()["spec"]["topologySpreadConstraints"]
            .as_array()
            .context("no spread")?;
        let policies = rendered
            .all("NetworkPolicy")
            .map(|policy| &policy["spec"]["podSelector"]);
        let budgets = rendered
            .all("PodDisruptionBudget")
            .map(|budget| &budget["spec"]["selector"]);
        let by_labels = std::iter::once(&deployment["selector"])
            .chain(spread.iter().map(|constraint| &constraint["labelSelector"]))
            .chain(policies)
            .chain(budgets)
            .map(|selector| &selector["matchLabels"]);
        let services = rendered
            .all("Service")
            .map(|service| &service["spec"]["selector"]);
        for selector in by_labels.chain(services) {
            let wanted = selector.as_object().context("a selector without labels")?;
            ensure!(!wanted.is_empty(), "an empty selector selects everything");
            for (label, value) in wanted {
                ensure!(labels[label] == *value, "{selector} does not select {labels}");
            }
        }
        Ok(())
    })
}

#[test]
fn a_drained_node_leaves_replicas_and_is_drained() -> Result<()> {
    for_each("budget", |rendered| {
        let replicas = number(&rendered.object("Deployment", GATEWAY)["spec"]["replicas"])?;
        let budget = &rendered.object("PodDisruptionBudget", GATEWAY)["spec"]["minAvailable"];
        match replicas {
            1 => ensure!(budget.is_null(), "one replica under a budget"),
            _ => ensure!(number(budget)? < replicas, "{budget} of {replicas}"),
        }
        Ok(())
    })
}

#[test]
fn pods_have_no_rights_and_write_nothing() -> Result<()> {
    for_each("security context", |rendered| {
        let pod = &rendered.pod()["spec"];
        let user = &pod["securityContext"];
        ensure!(user["runAsNonRoot"] == true, "{user}");
        ensure!(
            user["seccompProfile"] == json!({"type": "RuntimeDefault"}),
            "{user}"
        );
        let dockerfile = read("deploy/Dockerfile")?;
        let same = format!("USER {}:{}\n", user["runAsUser"], user["runAsGroup"]);
        ensure!(dockerfile.contains(&same), "the image has no {same}");
        let container = &rendered.container()["securityContext"];
        let least = json!({
            "allowPrivilegeEscalation": false, "privileged": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        });
        ensure!(*container == least, "{container}");
        ensure!(pod["containers"][1].is_null(), "a second container");
        for mount in rendered.container()["volumeMounts"]
            .as_array()
            .context("no mounts")?
        {
            // A subPath would never see a renewed certificate.
            ensure!(mount["readOnly"] == true && mount["subPath"].is_null(), "{mount}");
        }
        // The variables of Service links begin as the gateway's own do, and would end it.
        ensure!(pod["enableServiceLinks"] == false, "service links");
        Ok(())
    })
}

#[test]
fn the_role_names_each_thing_and_belongs_to_the_pods_account() -> Result<()> {
    for_each("role", |rendered| {
        let rules = rendered.object("ClusterRole", GATEWAY)["rules"]
            .as_array()
            .context("no rules")?;
        for rule in rules {
            ensure!(!rule.to_string().contains('*'), "{rule}");
            let verbs = rule["verbs"].as_array().context("no verbs")?;
            for verb in verbs {
                ensure!(
                    verb != "delete" && verb != "deletecollection" && verb != "update",
                    "{rule}"
                );
            }
        }
        ensure!(
            rendered.all("ClusterRole").count() + rendered.all("Role").count() == 1,
            "another role"
        );
        let binding = rendered.object("ClusterRoleBinding", GATEWAY);
        ensure!(binding["roleRef"]["name"] == GATEWAY, "{binding}");
        let account = json!([{"kind": "ServiceAccount", "name": GATEWAY, "namespace": "apollo"}]);
        ensure!(binding["subjects"] == account, "{binding}");
        ensure!(rendered.pod()["spec"]["serviceAccountName"] == GATEWAY);
        ensure!(!rendered.object("ServiceAccount", GATEWAY).is_null());
        Ok(())
    })
}

#[test]
fn the_secrets_are_those_that_the_readme_makes() -> Result<()> {
    let readme = read("deploy/README.md")?;
    for_each("secrets", |rendered| {
        ensure!(rendered.all("Secret").count() == 0, "a Secret in the repository");
        let volumes = rendered.pod()["spec"]["volumes"]
            .as_array()
            .context("no volumes")?;
        let mounted = volumes.iter().map(|volume| &volume["secret"]["secretName"]);
        let variables = rendered.container()["env"].as_array().context("no env")?;
        let referred = variables
            .iter()
            .map(|variable| &variable["valueFrom"]["secretKeyRef"]["name"]);
        let names: BTreeSet<_> = mounted.chain(referred).filter_map(Value::as_str).collect();
        ensure!(names.contains("apollo-gateway-tls"), "{names:?}");
        for name in names {
            let makes = ["tls", "generic"].map(|kind| format!("create secret {kind} {name} "));
            ensure!(
                makes.iter().any(|make| readme.contains(make)),
                "README.md does not make {name}"
            );
        }
        Ok(())
    })
}

/// `apollo-gateway ARGUMENTS... --help`: what stands before --help is read, and nothing is done.
fn help(arguments: &[&str]) -> Result<String> {
    let logs = Sandbox::new()?;
    let mut command = Command::new(Program::Gateway.path()?);
    command.args(arguments).arg("--help");
    let done = Running::finish("help", command, logs.path(), None, PATIENCE)?.success()?;
    Ok(done.stdout)
}

#[test]
fn the_gateway_understands_its_arguments_and_variables() -> Result<()> {
    for_each("command line", |rendered| {
        let arguments = rendered.arguments()?;
        ensure!(arguments.first() == Some(&"serve"), "{arguments:?}");
        let help = help(&arguments)?;
        for variable in rendered.container()["env"].as_array().context("no env")? {
            let name = variable["name"].as_str().context("no name")?;
            let flag = name
                .strip_prefix("APOLLO_GATEWAY_")
                .context("not the gateway's")?;
            let flag = format!("--{} ", flag.to_lowercase().replace('_', "-"));
            ensure!(help.contains(&flag), "{name}: serve has no {flag}");
        }
        Ok(())
    })
}
