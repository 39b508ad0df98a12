//! Walking through a JSON value strictly: every wrong, missing or unknown field is noted with its path, and the walk
//! goes on, so that one run tells everything.

use std::fmt;

use serde_json::{Map, Value};

/// Most problems told of one object: enough to see the pattern.
const PROBLEMS_MAX: usize = 20;
/// Characters of a refused value that are shown.
const SHOWN_MAX: usize = 60;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its path: `spec.env[2].name`.
    pub path: String,
    /// What was expected, and what was found.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.what)
    }
}

/// Everything that is wrong with one object.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems {
    found: Vec<Problem>,
}

impl Problems {
    /// Notes a problem.
    pub fn note(&mut self, path: impl Into<String>, what: impl Into<String>) {
        if self.found.len() < PROBLEMS_MAX {
            self.found.push(Problem {
                path: path.into(),
                what: what.into(),
            });
        }
    }

    /// Notes that something else was expected than `value`.
    pub(super) fn expected(&mut self, path: &str, expected: &str, value: &Value) {
        self.note(path, format!("expected {expected}, got {}", shown(value)));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them, in the order of the walk.
    pub fn into_vec(self) -> Vec<Problem> {
        self.found
    }
}

/// A value as a person wrote it, cut to a readable length.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        scalar => {
            let text = scalar.to_string();
            if text.chars().count() <= SHOWN_MAX {
                return text;
            }
            text.chars().take(SHOWN_MAX).chain("...".chars()).collect()
        }
    }
}

/// One object on the walk.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The object at `path`, or a problem.
    pub(super) fn of(path: &str, value: &'a Value, problems: &mut Problems) -> Option<Self> {
        let Value::Object(map) = value else {
            // The whole document has no path of its own.
            problems.expected(if path.is_empty() { "object" } else { path }, "an object", value);
            return None;
        };
        Some(Self {
            path: path.to_owned(),
            map,
        })
    }

    /// The path of one of its fields; one without a name is shown as `""`.
    pub(super) fn path_of(&self, field: &str) -> String {
        let field = if field.is_empty() { "\"\"" } else { field };
        if self.path.is_empty() {
            field.to_owned()
        } else {
            format!("{}.{field}", self.path)
        }
    }

    /// The fields it may have; every other is a problem.
    pub(super) fn only(&self, known: &[&str], problems: &mut Problems) {
        for field in self.map.keys().filter(|field| !known.contains(&field.as_str())) {
            problems.note(
                self.path_of(field),
                format!("unknown field; known here: {}", known.join(", ")),
            );
        }
    }

    /// A field that may be absent.
    pub(super) fn optional(&self, field: &str) -> Option<&'a Value> {
        self.map.get(field)
    }

    /// A field that must be there.
    pub(super) fn required(&self, field: &str, expected: &str, problems: &mut Problems) -> Option<&'a Value> {
        let value = self.map.get(field);
        if value.is_none() {
            problems.note(self.path_of(field), format!("required: expected {expected}"));
        }
        value
    }

    /// A text that may be absent.
    pub(super) fn optional_text(&self, field: &str, problems: &mut Problems) -> Option<&'a str> {
        text(&self.path_of(field), self.map.get(field)?, problems)
    }

    /// A text that must be there.
    pub(super) fn required_text(
        &self,
        field: &str,
        expected: &str,
        problems: &mut Problems,
    ) -> Option<&'a str> {
        let value = self.required(field, expected, problems)?;
        text(&self.path_of(field), value, problems)
    }

    /// A truth value that may be absent.
    pub(super) fn optional_bool(&self, field: &str, problems: &mut Problems) -> Option<bool> {
        let value = self.map.get(field)?;
        if !value.is_boolean() {
            problems.expected(&self.path_of(field), "true or false", value);
        }
        value.as_bool()
    }

    /// A list of texts; absent is empty.
    pub(super) fn texts(&self, field: &str, problems: &mut Problems) -> Vec<&'a str> {
        let path = self.path_of(field);
        let Some(value) = self.map.get(field) else {
            return Vec::new();
        };
        list(&path, value, problems)
            .iter()
            .enumerate()
            .filter_map(|(index, item)| text(&format!("{path}[{index}]"), item, problems))
            .collect()
    }

    /// An object of texts; absent is empty.
    pub(super) fn text_map(&self, field: &str, problems: &mut Problems) -> Vec<(&'a String, &'a str)> {
        let path = self.path_of(field);
        let Some(value) = self.map.get(field) else {
            return Vec::new();
        };
        let Value::Object(map) = value else {
            problems.expected(&path, "an object of texts", value);
            return Vec::new();
        };
        map.iter()
            .filter_map(|(key, item)| Some((key, text(&format!("{path}.{key}"), item, problems)?)))
            .collect()
    }
}

/// The items of a list, or a problem and none.
pub(super) fn list<'a>(path: &str, value: &'a Value, problems: &mut Problems) -> &'a [Value] {
    if let Value::Array(items) = value {
        return items;
    }
    problems.expected(path, "a list", value);
    &[]
}

fn text<'a>(path: &str, value: &'a Value, problems: &mut Problems) -> Option<&'a str> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(_) | Value::Bool(_) => {
            problems.note(
                path,
                format!("expected text, got {}; put it in quotes", shown(value)),
            );
            None
        }
        _ => {
            problems.expected(path, "text", value);
            None
        }
    }
}
