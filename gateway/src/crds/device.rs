//! `devices.apollo.azure.com`.

use apollo_gateway_core::object::DeviceStatus;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator wants of a device. No field has a default in the schema: a spec is kept as it was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, CustomResource)]
#[kube(
    group = "apollo.azure.com",
    version = "v1alpha1",
    kind = "Device",
    plural = "devices",
    shortname = "dev",
    status = "DeviceStatus",
    doc = "A device: its liveness and its queue, kept by the gateway.",
    printcolumn = r#"{"name":"State", "type":"string", "jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Last-Heartbeat", "type":"date", "jsonPath":".status.lastHeartbeatTime"}"#,
    printcolumn = r#"{"name":"Pending", "type":"integer", "jsonPath":".status.queue.pending"}"#,
    printcolumn = r#"{"name":"Dropped", "type":"integer", "jsonPath":".status.queue.dropped"}"#,
    printcolumn = r#"{"name":"Age", "type":"date", "jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Next-Contact", "type":"string", "priority":1, "jsonPath":".status.nextContactTime"}"#,
    printcolumn = r#"{"name":"Version", "type":"string", "priority":1, "jsonPath":".status.agentVersion"}"#,
    printcolumn = r#"{"name":"Skew-Ms", "type":"integer", "priority":1, "jsonPath":".status.clockSkewMs"}"#,
    printcolumn = r#"{"name":"Blocked", "type":"boolean", "priority":1, "jsonPath":".spec.blocked"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DeviceSpec {
    /// Refuse everything the device sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub blocked: Option<bool>,
    /// How long it may be silent before it is Lost, such as 90s or 2h; the gateway's --stale-after if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 2, max = 40))]
    pub stale_after: Option<String>,
}
