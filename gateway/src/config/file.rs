//! The configuration file: TOML with every flag as a key, in kebab or snake case.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{
    Problem,
    layers::{KEYS, LISTS, Origin, Raw},
};

/// Larger than any file a person writes; guards against naming a device or a log by mistake.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads the file into raw values; what cannot be used becomes a problem.
pub(super) fn read(path: &Path, problems: &mut Vec<Problem>) -> BTreeMap<&'static str, Raw> {
    let mut raws = BTreeMap::new();
    let text = match load(path) {
        Ok(text) => text,
        Err(reason) => {
            problems.push(Problem::new(format!("--config {}", path.display()), reason));
            return raws;
        }
    };
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let reason = format!("is not TOML: {}", error.to_string().trim().replace('\n', " "));
            problems.push(Problem::new(path.display().to_string(), reason));
            return raws;
        }
    };
    for (written, value) in table {
        let origin = Origin::File(path.to_owned(), written.clone());
        let kebab = written.replace('_', "-");
        let Some(key) = KEYS.into_iter().find(|key| *key == kebab) else {
            problems.push(Problem::new(
                origin.to_string(),
                "is not a key of this program".to_owned(),
            ));
            continue;
        };
        match texts(key, value) {
            Some(values) => {
                raws.insert(key, Raw { values, origin });
            }
            None => problems.push(Problem::new(
                origin.to_string(),
                "is not a text or a number".to_owned(),
            )),
        }
    }
    raws
}

fn load(path: &Path) -> Result<String, String> {
    let length = fs::metadata(path)
        .map_err(|error| format!("cannot be read: {error}"))?
        .len();
    if length > FILE_BYTES_MAX {
        return Err(format!("is larger than {FILE_BYTES_MAX} bytes"));
    }
    fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
}

fn texts(key: &str, value: toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::Array(entries) if LISTS.contains(&key) => entries.into_iter().map(text).collect(),
        other => text(other).map(|text| vec![text]),
    }
}

fn text(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Relative paths in the file are relative to the file, so that it can be moved with what it names.
pub(super) fn beside(origin: &Origin, path: PathBuf) -> PathBuf {
    match origin {
        Origin::File(file, _) => file
            .parent()
            .map_or(path.clone(), |directory| directory.join(path)),
        Origin::Flag(_) | Origin::Environment(_) | Origin::Default => path,
    }
}
