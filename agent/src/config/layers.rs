//! Where values come from: flags over environment over file over defaults, each value with its origin.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use super::{
    Problem,
    settings::{SETTINGS, Setting, VARIABLE_PREFIX},
};

/// Largest configuration file read, bytes: a thousand times what all settings take.
const FILE_BYTES: u64 = 1024 * 1024;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    Flag(&'static str),
    /// In the environment.
    Variable(String),
    /// In a configuration file.
    File(PathBuf),
    /// Nowhere: the built-in value.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Variable(name) => write!(f, "{name}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => write!(f, "default"),
        }
    }
}

/// The values of one setting and where they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// One or more values; one unless the setting is repeatable.
    pub values: Vec<String>,
    /// Where.
    pub origin: Origin,
}

/// One layer: the settings it has.
pub type Layer = BTreeMap<&'static str, Written>;

/// The layer of the command line, from (name, values) pairs; pairs without values are left out.
pub(super) fn flags(given: impl IntoIterator<Item = (&'static str, Vec<String>)>) -> Layer {
    given
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(name, values)| {
            (
                name,
                Written {
                    values,
                    origin: Origin::Flag(name),
                },
            )
        })
        .collect()
}

/// The layer of the environment. Empty variables count as not set. A variable of ours that is no setting is a problem:
/// it is a typing error that would go unnoticed.
pub(super) fn environment(
    variables: impl IntoIterator<Item = (String, String)>,
    problems: &mut Vec<Problem>,
) -> Layer {
    let mut layer = Layer::new();
    for (variable, value) in variables {
        let known = SETTINGS.iter().find(|setting| setting.variable() == variable);
        match known {
            Some(_) if value.is_empty() => {}
            Some(setting) => {
                let values = if setting.repeatable {
                    value.split(',').map(|part| part.trim().to_owned()).collect()
                } else {
                    vec![value]
                };
                layer.insert(
                    setting.name,
                    Written {
                        values,
                        origin: Origin::Variable(variable),
                    },
                );
            }
            None if variable.starts_with(VARIABLE_PREFIX)
                && !OTHER_VARIABLES.contains(&variable.as_str()) =>
            {
                problems.push(Problem::new(
                    &Origin::Variable(variable),
                    "there is no such setting",
                ));
            }
            None => {}
        }
    }
    layer
}

/// Variables with the agent's prefix that are no settings.
const OTHER_VARIABLES: &[&str] = &["APOLLO_AGENT_CONFIG", "APOLLO_AGENT_LOG"];

/// The layer of a file.
pub(super) fn file(path: &PathBuf, problems: &mut Vec<Problem>) -> Layer {
    let origin = Origin::File(path.clone());
    let table = match read(path) {
        Ok(table) => table,
        Err(problem) => {
            problems.push(Problem::new(&origin, problem));
            return Layer::new();
        }
    };
    let mut layer = Layer::new();
    for (key, value) in table {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == key) else {
            problems.push(Problem::new(&origin, format!("{key}: there is no such setting")));
            continue;
        };
        match texts(setting, &value) {
            Some(values) => drop(layer.insert(
                setting.name,
                Written {
                    values,
                    origin: origin.clone(),
                },
            )),
            None => problems.push(Problem::new(
                &origin,
                format!("{key}: expected {}", shape(setting)),
            )),
        }
    }
    layer
}

fn read(path: &PathBuf) -> Result<toml::Table, String> {
    let metadata = std::fs::metadata(path).map_err(|error| format!("cannot read it: {error}"))?;
    if metadata.len() > FILE_BYTES {
        return Err(format!("it is larger than {FILE_BYTES} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read it: {error}"))?;
    text.parse()
        .map_err(|error: toml::de::Error| format!("it is not TOML: {}", error.to_string().trim_end()))
}

fn shape(setting: &Setting) -> &'static str {
    if setting.repeatable {
        "a text or an array of texts"
    } else {
        "a text or a whole number"
    }
}

fn texts(setting: &Setting, value: &toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::String(text) => Some(vec![text.clone()]),
        toml::Value::Integer(number) if !setting.repeatable => Some(vec![number.to_string()]),
        toml::Value::Array(values) if setting.repeatable && !values.is_empty() => values
            .iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}
