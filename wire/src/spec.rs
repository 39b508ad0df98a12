//! What should run on a device: the `spec` of a DeviceProcess.

use serde::{Deserialize, Serialize};

use crate::DeviceName;

/// The `spec` of a DeviceProcess. Absent fields mean their defaults; nobody writes the defaults into the object, so
/// that the spec's hash is the same in every store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessSpec {
    /// The device that should run it.
    pub device_ref: DeviceRef,
    /// Program and leading arguments; looked up in PATH unless it has a slash. Never empty.
    pub command: Vec<String>,
    /// Further arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment variables, added to the agent's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Where it runs; the agent's data directory if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// Whether it is started again after it exits.
    #[serde(default)]
    pub restart_policy: RestartPolicy,
    /// How long it has between SIGTERM and SIGKILL.
    #[serde(default = "default_stop_grace_period_seconds")]
    pub stop_grace_period_seconds: u32,
    /// True: stop it and keep it stopped.
    #[serde(default)]
    pub suspend: bool,
}

/// Ten seconds, as `docker stop` gives: long enough to flush a file, short enough for a reboot.
fn default_stop_grace_period_seconds() -> u32 {
    10
}

/// Which device a DeviceProcess is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRef {
    /// The device's name, as in its certificate.
    pub name: DeviceName,
}

/// One environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EnvVar {
    /// Its name: not empty, without `=`.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// Whether a process is started again after it exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RestartPolicy {
    /// After every exit.
    #[default]
    Always,
    /// After an exit with another code than 0, or by a signal.
    OnFailure,
    /// Never.
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_of_a_device_and_a_command_has_the_defaults_of_the_contract() {
        let least = r#"{"deviceRef": {"name": "buoy-17"}, "command": ["/bin/true"]}"#;
        let spec: ProcessSpec = serde_json::from_str(least).expect("a spec");
        assert_eq!(spec.stop_grace_period_seconds, 10);
        assert_eq!(
            (spec.restart_policy, spec.suspend),
            (RestartPolicy::Always, false)
        );
        assert_eq!(
            (spec.args.len(), spec.env.len(), spec.working_directory),
            (0, 0, None)
        );
    }
}
