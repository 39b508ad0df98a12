//! `spec` of a DeviceProcess: [`apollo_wire::ProcessSpec`], checked field by field.

use apollo_gateway_core::object::DesiredPhase;
use apollo_wire::{DeviceName, ProcessSpec, RestartPolicy};
use serde_json::Value;

use super::fields::{Fields, Problems, list};

/// Longest time between SIGTERM and SIGKILL: an hour. A process that needs longer cannot be updated over a link that is
/// up for minutes.
pub const STOP_GRACE_PERIOD_SECONDS_MAX: u64 = 3600;

const FIELDS: [&str; 8] = [
    "deviceRef",
    "command",
    "args",
    "env",
    "workingDirectory",
    "restartPolicy",
    "stopGracePeriodSeconds",
    "suspend",
];

/// Which states satisfy a spec.
pub fn desired_phase(spec: &ProcessSpec) -> DesiredPhase {
    match (spec.suspend, spec.restart_policy) {
        (true, _) => DesiredPhase::Stopped,
        (false, RestartPolicy::Always) => DesiredPhase::Running,
        (false, RestartPolicy::OnFailure | RestartPolicy::Never) => DesiredPhase::RunningOrSucceeded,
    }
}

/// Checks a spec as it was written; gives the device it is bound to.
pub(super) fn check(spec: &Value, problems: &mut Problems) -> Option<String> {
    let fields = Fields::of("spec", spec, problems)?;
    fields.only(&FIELDS, problems);
    let device = check_device_ref(&fields, problems);
    check_command(&fields, problems);
    check_words(&fields, "args", problems);
    check_env(&fields, problems);
    if let Some(path) = fields.optional_text("workingDirectory", problems) {
        if path.is_empty() {
            problems.note("spec.workingDirectory", "expected a path, got \"\"");
        }
        refuse_nul("spec.workingDirectory", path, problems);
    }
    check_restart_policy(&fields, problems);
    check_stop_grace_period(&fields, problems);
    fields.optional_bool("suspend", problems);
    device
}

fn check_device_ref(fields: &Fields<'_>, problems: &mut Problems) -> Option<String> {
    let value = fields.required("deviceRef", "{name: DEVICE}", problems)?;
    let device_ref = Fields::of("spec.deviceRef", value, problems)?;
    device_ref.only(&["name"], problems);
    let name = device_ref.required_text("name", "the name of a device", problems)?;
    match name.parse::<DeviceName>() {
        Ok(device) => Some(device.to_string()),
        Err(error) => {
            problems.note("spec.deviceRef.name", error.to_string());
            None
        }
    }
}

fn check_command(fields: &Fields<'_>, problems: &mut Problems) {
    let Some(value) = fields.required("command", "a list of at least the program", problems) else {
        return;
    };
    let command = check_words(fields, "command", problems);
    if value.as_array().is_some_and(Vec::is_empty) {
        problems.note(
            "spec.command",
            "expected a list of at least the program, got an empty list",
        );
    } else if command.first() == Some(&"") {
        problems.note("spec.command[0]", "expected the program, got \"\"");
    }
}

/// A list of words of the command line.
fn check_words<'a>(fields: &Fields<'a>, field: &str, problems: &mut Problems) -> Vec<&'a str> {
    let words = fields.texts(field, problems);
    for (index, word) in words.iter().enumerate() {
        refuse_nul(&format!("spec.{field}[{index}]"), word, problems);
    }
    words
}

/// Programs get their arguments and environment as C strings, which end at the first NUL: no device could run it.
fn refuse_nul(path: &str, text: &str, problems: &mut Problems) {
    if text.contains('\0') {
        problems.note(path, "expected text without NUL");
    }
}

fn check_env(fields: &Fields<'_>, problems: &mut Problems) {
    let Some(value) = fields.optional("env") else {
        return;
    };
    for (index, item) in list("spec.env", value, problems).iter().enumerate() {
        let path = format!("spec.env[{index}]");
        let Some(variable) = Fields::of(&path, item, problems) else {
            continue;
        };
        variable.only(&["name", "value"], problems);
        if let Some(value) = variable.optional_text("value", problems) {
            refuse_nul(&format!("{path}.value"), value, problems);
        }
        let expected = "a name that is not empty and without '='";
        if let Some(name) = variable.required_text("name", expected, problems)
            && (name.is_empty() || name.contains(['=', '\0']))
        {
            problems.note(
                format!("{path}.name"),
                format!("expected {expected}, got {name:?}"),
            );
        }
    }
}

fn check_restart_policy(fields: &Fields<'_>, problems: &mut Problems) {
    if let Some(policy) = fields.optional_text("restartPolicy", problems)
        && !["Always", "OnFailure", "Never"].contains(&policy)
    {
        problems.note(
            "spec.restartPolicy",
            format!("expected Always, OnFailure or Never, got {policy:?}"),
        );
    }
}

fn check_stop_grace_period(fields: &Fields<'_>, problems: &mut Problems) {
    if let Some(value) = fields.optional("stopGracePeriodSeconds")
        && value
            .as_u64()
            .is_none_or(|seconds| seconds > STOP_GRACE_PERIOD_SECONDS_MAX)
    {
        let expected = format!("a whole number from 0 to {STOP_GRACE_PERIOD_SECONDS_MAX}");
        problems.expected("spec.stopGracePeriodSeconds", &expected, value);
    }
}
