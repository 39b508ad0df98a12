//! One process of a desired document, with its spec read and checked.

use std::{collections::BTreeMap, sync::Arc};

use apollo_wire::{DesiredProcess, NameError, ProcessRef, ProcessSpec, SpecHash};
use serde_json::value::RawValue;

/// One process that should be on the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredItem {
    /// Its name.
    pub process: ProcessRef,
    /// Counts changes of the spec.
    pub generation: i64,
    /// Names the spec in observations.
    pub spec_hash: SpecHash,
    /// What to run, or why that cannot be run. One bad spec does not hold up the others.
    pub spec: Result<Arc<ProcessSpec>, SpecDefect>,
}

/// A spec that cannot be run: the field and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct SpecDefect {
    /// The path of the field, such as `spec.env[0].name`; `spec` where a field is missing or the text is not JSON.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl SpecDefect {
    /// `path` is the field inside `spec`; `.` is the whole of it.
    fn new(path: impl AsRef<str>, problem: impl Into<String>) -> Self {
        let field = match path.as_ref() {
            "." => "spec".to_owned(),
            path => format!("spec.{path}"),
        };
        Self {
            field,
            problem: problem.into(),
        }
    }
}

impl DesiredItem {
    /// Reads one process of a document. Only a name that is no name is an error: nothing can be reported about it.
    pub fn read(desired: &DesiredProcess) -> Result<Self, NameError> {
        Ok(Self {
            process: desired.process()?,
            generation: desired.generation,
            spec_hash: desired.spec_hash,
            spec: read_spec(desired.spec.get()).map(Arc::new),
        })
    }
}

/// Parses a spec and checks what its types do not.
fn read_spec(json: &str) -> Result<ProcessSpec, SpecDefect> {
    let mut parser = serde_json::Deserializer::from_str(json);
    let spec: ProcessSpec = serde_path_to_error::deserialize(&mut parser)
        .map_err(|error| SpecDefect::new(error.path().to_string(), error.inner().to_string()))?;
    check_objects(json)?;
    check(&spec)?;
    Ok(spec)
}

/// Refuses a list of fields' values where an object belongs: the parser takes both, `apply` does not.
fn check_objects(json: &str) -> Result<(), SpecDefect> {
    let is_object = |json: &str| json.trim_ascii_start().starts_with('{');
    let refused = |path: String| Err(SpecDefect::new(path, "expected an object"));
    if !is_object(json) {
        return refused(".".to_owned());
    }
    let unreadable = |error: serde_json::Error| SpecDefect::new(".", error.to_string());
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(json).map_err(unreadable)?;
    let device_ref = fields.get("deviceRef");
    if device_ref.is_some_and(|device_ref| !is_object(device_ref.get())) {
        return refused("deviceRef".to_owned());
    }
    let env = fields.get("env").map_or("[]", |env| env.get());
    let env: Vec<&RawValue> = serde_json::from_str(env).map_err(unreadable)?;
    match env.iter().position(|variable| !is_object(variable.get())) {
        Some(index) => refused(format!("env[{index}]")),
        None => Ok(()),
    }
}

/// Finds what the operating system would refuse for certain, so that it is named by field and not tried again.
fn check(spec: &ProcessSpec) -> Result<(), SpecDefect> {
    if spec.command.first().is_none_or(String::is_empty) {
        return Err(SpecDefect::new(
            "command",
            "expected a program as its first entry",
        ));
    }
    // Programs get their arguments and environment as C strings, which end at the first NUL.
    let no_nul = |field: String, text: &str| match text.contains('\0') {
        true => Err(SpecDefect::new(field, "expected text without NUL")),
        false => Ok(()),
    };
    for (index, word) in spec.command.iter().enumerate() {
        no_nul(format!("command[{index}]"), word)?;
    }
    for (index, word) in spec.args.iter().enumerate() {
        no_nul(format!("args[{index}]"), word)?;
    }
    for (index, variable) in spec.env.iter().enumerate() {
        if variable.name.is_empty() || variable.name.contains('=') {
            return Err(SpecDefect::new(
                format!("env[{index}].name"),
                "expected a name without '='",
            ));
        }
        no_nul(format!("env[{index}].name"), &variable.name)?;
        no_nul(format!("env[{index}].value"), &variable.value)?;
    }
    match spec.working_directory.as_deref() {
        Some("") => Err(SpecDefect::new(
            "workingDirectory",
            "expected a path, or no such field",
        )),
        Some(path) => no_nul("workingDirectory".to_owned(), path),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defect(json: &str) -> String {
        read_spec(json).map_or_else(|defect| defect.to_string(), |spec| format!("accepted {spec:?}"))
    }

    #[test]
    fn a_minimal_spec_is_read() {
        let spec = read_spec(r#"{"deviceRef":{"name":"d"},"command":["true"],"unknown":1}"#).unwrap();
        assert_eq!(spec.command, ["true"]);
    }

    #[test]
    fn a_defect_names_the_field() {
        let with = |fields: &str| format!(r#"{{"deviceRef":{{"name":"d"}},{fields}}}"#);
        for (fields, field) in [
            (r#""command":[]"#, "spec.command: "),
            (r#""command":[""]"#, "spec.command: "),
            (r#""command":["a\u0000"]"#, "spec.command[0]: "),
            (r#""command":["a"],"args":[1]"#, "spec.args[0]: "),
            (r#""command":["a"],"args":["","\u0000"]"#, "spec.args[1]: "),
            (r#""command":["a"],"env":[{"name":"A=B"}]"#, "spec.env[0].name: "),
            (r#""command":["a"],"env":[{"name":""}]"#, "spec.env[0].name: "),
            (
                r#""command":["a"],"env":[{"name":"A","value":"\u0000"}]"#,
                "spec.env[0].value: ",
            ),
            (
                r#""command":["a"],"restartPolicy":"Sometimes""#,
                "spec.restartPolicy: ",
            ),
            (
                r#""command":["a"],"stopGracePeriodSeconds":-1"#,
                "spec.stopGracePeriodSeconds: ",
            ),
            (
                r#""command":["a"],"workingDirectory":"""#,
                "spec.workingDirectory: ",
            ),
        ] {
            let text = defect(&with(fields));
            assert!(text.starts_with(field), "{fields}: {text}");
        }
        assert_eq!(
            defect(r#"{"deviceRef":{"name":"d"}}"#),
            "spec: missing field `command` at line 1 column 26"
        );
        assert!(defect("nonsense").starts_with("spec: "));
        for (json, field) in [
            (r#"[["d"],["true"]]"#, "spec: "),
            (r#"{"deviceRef":["d"],"command":["true"]}"#, "spec.deviceRef: "),
            (
                r#"{"deviceRef":{"name":"d"},"command":["true"],"env":[{"name":"A"},["B","c"]]}"#,
                "spec.env[1]: ",
            ),
        ] {
            assert_eq!(defect(json), format!("{field}expected an object"));
        }
    }
}
