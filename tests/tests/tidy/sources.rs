//! How long a source file may be, what it may be called, and what must not be in any text.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Result, ensure};

use crate::tree::{ROOT, all, code_of, read};

/// Most lines of code in one file, blank lines, comments and tests not counted: one job, seen whole.
const MAX_CODE_LINES: usize = 350;
/// Files that may be longer, each with its reason.
const LONGER: &[(&str, &str)] = &[];
/// File and module names that say nothing about what is in them.
const BANNED_NAMES: &[&str] = &["utils", "util", "common", "misc", "helpers", "helper", "stuff"];

#[test]
fn no_file_is_too_long_to_be_seen_whole() -> Result<()> {
    let exceptions: BTreeMap<&str, &str> = LONGER.iter().copied().collect();
    let mut long = Vec::new();
    for path in all(&["rs"])? {
        let lines = code_of(&read(&path)?).len();
        let name = path.to_string_lossy().into_owned();
        if lines > MAX_CODE_LINES && !exceptions.contains_key(name.as_str()) {
            long.push(format!("{name}: {lines} lines"));
        }
    }
    ensure!(
        long.is_empty(),
        "more than {MAX_CODE_LINES} lines of code: {long:#?}"
    );
    for name in exceptions.keys() {
        ensure!(Path::new(ROOT).join(name).exists(), "{name} is excepted but gone");
    }
    Ok(())
}

#[test]
fn file_names_say_what_is_in_them() -> Result<()> {
    for path in all(&["rs"])? {
        let parts = path.iter().map(|part| part.to_string_lossy().replace(".rs", ""));
        let bad: Vec<_> = parts
            .filter(|part| BANNED_NAMES.contains(&part.as_str()))
            .collect();
        ensure!(bad.is_empty(), "{}: {bad:?} says nothing", path.display());
    }
    Ok(())
}

#[test]
fn nothing_is_left_to_be_done_and_nothing_is_about_one_machine() -> Result<()> {
    // Written in pieces, so that this file does not find itself.
    let banned = [
        ["to", "do!("].concat(),
        ["unimple", "mented!("].concat(),
        ["FIX", "ME"].concat(),
        ["XX", "X:"].concat(),
        ["/ro", "ot/"].concat(),
        ["/wo", "rk/"].concat(),
        ["/ho", "me/"].concat(),
        ["/tmp/apo", "llo/"].concat(),
    ];
    for path in all(&["rs", "toml", "md", "yaml", "py", "sql", "sh"])? {
        let text = read(&path)?;
        let found: Vec<_> = banned
            .iter()
            .filter(|word| text.contains(word.as_str()))
            .collect();
        ensure!(found.is_empty(), "{}: {found:?}", path.display());
    }
    Ok(())
}
