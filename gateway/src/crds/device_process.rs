//! `deviceprocesses.apollo.azure.com`.

use apollo_gateway_core::object::ProcessStatus;
use apollo_wire::RestartPolicy;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What should run on which device. No field has a default in the schema: a spec is kept, and hashed, as it was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "apollo.azure.com",
    version = "v1alpha1",
    kind = "DeviceProcess",
    plural = "deviceprocesses",
    shortname = "dp",
    namespaced,
    status = "ProcessStatus",
    selectable = ".spec.deviceRef.name",
    doc = "A process on a device. May carry the label apollo.azure.com/deviceName with the device's name, so that \
           kubectl can select by it; spec.deviceRef.name is what counts.",
    printcolumn = r#"{"name":"Device", "type":"string", "jsonPath":".spec.deviceRef.name"}"#,
    printcolumn = r#"{"name":"State", "type":"string", "jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Ready", "type":"string", "jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Restarts", "type":"integer", "jsonPath":".status.restarts"}"#,
    printcolumn = r#"{"name":"Age", "type":"date", "jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Connected", "type":"string", "priority":1, "jsonPath":".status.conditions[?(@.type==\"AgentConnected\")].status"}"#,
    printcolumn = r#"{"name":"Observed", "type":"date", "priority":1, "jsonPath":".status.lastObservedTime"}"#,
    printcolumn = r#"{"name":"Spec-Hash", "type":"string", "priority":1, "jsonPath":".status.observedSpecHash"}"#,
    printcolumn = r#"{"name":"Reason", "type":"string", "priority":1, "jsonPath":".status.reason"}"#,
    printcolumn = r#"{"name":"Message", "type":"string", "priority":1, "jsonPath":".status.message"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DeviceProcessSpec {
    /// The device that runs it.
    pub device_ref: DeviceRef,
    /// Program and leading arguments; looked up in PATH unless it has a slash.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// Further arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub args: Option<Vec<String>>,
    /// Environment variables, added to the agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<EnvVar>")]
    pub env: Option<Vec<EnvVar>>,
    /// Where it runs; the agent's data directory if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    pub working_directory: Option<String>,
    /// Whether it is started again after it exits; Always if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RestartPolicy")]
    pub restart_policy: Option<RestartPolicy>,
    /// Seconds between SIGTERM and SIGKILL; 10 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = 0, max = 3600))]
    pub stop_grace_period_seconds: Option<i32>,
    /// True: stop it and keep it stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub suspend: Option<bool>,
}

/// Which device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceRef {
    /// Its name, as in its certificate: a DNS-1123 subdomain.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
}

/// One environment variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EnvVar {
    /// Its name.
    #[schemars(length(min = 1), regex(pattern = r"^[^=]+$"))]
    pub name: String,
    /// Its value; empty if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub value: Option<String>,
}
