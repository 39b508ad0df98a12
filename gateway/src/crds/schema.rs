//! What the API server is to check that Rust's types do not say: forms of texts, lists that are maps, rules in CEL
//! (Kubernetes documentation, "Extend the Kubernetes API with CustomResourceDefinitions", "Validation rules").

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Map, Value, json};

/// A text that becomes a C string on the device: it would end at a NUL.
const NO_NUL: &str = r"^[^\x00]*$";
/// RFC 3339, as `metav1.Time` and `MicroTime` are written.
const TIME: &str =
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$";
/// A device's name, as in [`super::device_process::DeviceRef`].
const DEVICE: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// Durations such as 90s, 2h or 1h 30m.
const DURATION: &str = r"^([0-9]{1,9} ?(s|sec|m|min|h|hr|d|w) ?)+$";
/// Within 1s and 366d, where it is one number and one unit; the gateway falls back to its own window for the others.
const DURATION_WITHIN: &str = "!self.matches('^[0-9]{1,9}[smhd]$') || \
     (int(self.substring(0, size(self) - 1)) * (self.endsWith('d') ? 86400 : self.endsWith('h') ? 3600 : \
     self.endsWith('m') ? 60 : 1) >= 1 && int(self.substring(0, size(self) - 1)) * (self.endsWith('d') ? 86400 : \
     self.endsWith('h') ? 3600 : self.endsWith('m') ? 60 : 1) <= 31622400)";

/// Where in a definition the schemas of spec and status are.
const PROPERTIES: &str = "/spec/versions/0/schema/openAPIV3Schema/properties";

/// The definition with all of that.
///
/// # Panics
/// Never on the definitions of this crate: a test reads them back.
pub(super) fn refined(definition: &CustomResourceDefinition) -> CustomResourceDefinition {
    let mut value = json!(definition);
    if let Some(properties) = value.pointer_mut(PROPERTIES) {
        portable(properties);
        for (path, keywords) in additions() {
            if let (Some(Value::Object(schema)), Value::Object(keywords)) =
                (properties.pointer_mut(path), keywords)
            {
                schema.extend(keywords);
            }
        }
    }
    serde_json::from_value(value).unwrap_or_else(|_| definition.clone())
}

/// Formats that only Rust knows become what OpenAPI has, and nothing is filled in: what another writer leaves out of its
/// condition stays out of it.
fn portable(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if is_unsigned(map) {
                map.insert("format".to_owned(), json!("int64"));
            }
            if map.contains_key("type") {
                map.remove("default");
            }
            map.values_mut().for_each(portable);
        }
        Value::Array(items) => items.iter_mut().for_each(portable),
        _ => {}
    }
}

fn is_unsigned(schema: &Map<String, Value>) -> bool {
    schema
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|format| format.starts_with("uint"))
}

/// Keywords by the place of their schema; places that a kind does not have are passed over.
fn additions() -> Vec<(&'static str, Value)> {
    let conditions = json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]});
    let rule =
        |rule: &str, message: &str| json!({"x-kubernetes-validations": [{"rule": rule, "message": message}]});
    vec![
        ("/spec/properties/command/items", json!({"pattern": NO_NUL})),
        (
            "/spec/properties/command",
            rule("self[0] != ''", "expected the program, got \"\""),
        ),
        ("/spec/properties/args/items", json!({"pattern": NO_NUL})),
        (
            "/spec/properties/env/items/properties/name",
            json!({"pattern": r"^[^=\x00]+$"}),
        ),
        (
            "/spec/properties/env/items/properties/value",
            json!({"pattern": NO_NUL}),
        ),
        ("/spec/properties/workingDirectory", json!({"pattern": NO_NUL})),
        ("/spec/properties/staleAfter", json!({"pattern": DURATION})),
        (
            "/spec/properties/staleAfter",
            rule(
                DURATION_WITHIN,
                "expected a duration of 1s to 366d, such as 90s or 2h",
            ),
        ),
        ("/status/properties/conditions", conditions),
        (
            "/status/properties/conditions/items/properties/status",
            json!({"enum": ["True", "False", "Unknown"]}),
        ),
        (
            "/status/properties/observedSpecHash",
            json!({"pattern": "^[0-9a-f]{16}$"}),
        ),
        ("/status/properties/observedDevice", json!({"pattern": DEVICE})),
        ("/status/properties/lastObservedTime", json!({"pattern": TIME})),
        ("/status/properties/lastReportTime", json!({"pattern": TIME})),
        ("/status/properties/lastHeartbeatTime", json!({"pattern": TIME})),
        ("/status/properties/nextContactTime", json!({"pattern": TIME})),
        (
            "/status/properties/instances/items/properties/id",
            json!({"pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}),
        ),
    ]
}
