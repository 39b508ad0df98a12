//! That the API server refuses at `kubectl apply` what `apollo-gateway apply` refuses, and takes what it takes.

use anyhow::Result;
use apollo_gateway::manifest::{check_object, documents};
use apollo_tests::harness::kube::{Kind, KubeError};
use serde_json::{Value, json};

use crate::cluster::Cluster;

fn process(spec: &Value) -> Value {
    json!({
        "apiVersion": "apollo.azure.com/v1alpha1", "kind": "DeviceProcess",
        "metadata": {"name": "p", "namespace": "default"}, "spec": spec,
    })
}

fn device(spec: &Value) -> Value {
    json!({
        "apiVersion": "apollo.azure.com/v1alpha1", "kind": "Device", "metadata": {"name": "d"}, "spec": spec,
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut spec = json!({"deviceRef": {"name": "buoy"}, "command": ["true"]});
    spec[field] = value;
    process(&spec)
}

/// Whether `apollo-gateway apply` takes it.
fn apply_takes(object: &Value) -> bool {
    let documents = documents("test", &object.to_string()).unwrap();
    check_object(&documents[0].value, None).is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_apply_refuses_the_api_server_refuses_too() -> Result<()> {
    let Some(cluster) = Cluster::start("kube_store schema").await? else {
        return Ok(());
    };
    let objects = [
        with("command", json!(["true", "-x"])),
        with("command", json!([])),
        with("command", json!([""])),
        with("command", json!(["a\u{0}b"])),
        with("command", json!("true")),
        with("args", json!(["a", ""])),
        with("args", json!(["\u{0}"])),
        with("env", json!([{"name": "A", "value": "b"}, {"name": "B"}])),
        with("env", json!([{"name": ""}])),
        with("env", json!([{"name": "A=B"}])),
        with("env", json!([{"name": "A\u{0}"}])),
        with("env", json!([{"name": "A", "value": "\u{0}"}])),
        with("workingDirectory", json!("/var")),
        with("workingDirectory", json!("")),
        with("workingDirectory", json!("\u{0}")),
        with("restartPolicy", json!("OnFailure")),
        with("restartPolicy", json!("Sometimes")),
        with("stopGracePeriodSeconds", json!(3600)),
        with("stopGracePeriodSeconds", json!(3601)),
        with("stopGracePeriodSeconds", json!(-1)),
        with("stopGracePeriodSeconds", json!(1.5)),
        with("suspend", json!(true)),
        with("suspend", json!("yes")),
        with("deviceRef", json!({"name": "Buoy"})),
        with("deviceRef", json!({"name": "a".repeat(253)})),
        with("deviceRef", json!({"name": "a".repeat(254)})),
        with("deviceRef", json!({})),
        device(&json!({})),
        device(&json!({"blocked": true, "staleAfter": "90s"})),
        device(&json!({"staleAfter": "1s"})),
        device(&json!({"staleAfter": "0s"})),
        device(&json!({"staleAfter": "366d"})),
        device(&json!({"staleAfter": "367d"})),
        device(&json!({"staleAfter": "soon"})),
        device(&json!({"blocked": "yes"})),
    ];
    let (mut taken, mut refused) = (0, 0);
    for object in &objects {
        let is_device = object["kind"] == "Device";
        let kind = if is_device {
            Kind::DEVICES
        } else {
            Kind::DEVICE_PROCESSES.within("default")
        };
        let name = object["metadata"]["name"].as_str().unwrap();
        match cluster.api.client().create(kind, object) {
            Ok(_) => {
                taken += 1;
                assert!(
                    apply_takes(object),
                    "the API server takes what apply refuses: {object}"
                );
                cluster.api.client().delete(kind, name)?;
            }
            Err(KubeError::Refused { message, .. }) => {
                refused += 1;
                assert!(
                    !apply_takes(object),
                    "apply takes what the API server refuses: {object}: {message}"
                );
                assert!(message.contains("spec."), "the field is named: {message}");
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(taken >= 10 && refused >= 20, "{taken} taken, {refused} refused");
    Ok(())
}
