//! That the list of deletions which must make a test fail is in step with the sources (`tests/mutants/run`).

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::tree::{all, read};

const LIST: &str = "tests/mutants/deletions.toml";
/// What at least is shown (`docs/testing.md`).
const LEAST: usize = 10;
/// The parts of the program of which any line must be missed.
const PARTS: &[&str] = &["join", "compare-and-swap", "verdicts", "commit order"];

/// An entry's field of this name.
fn text<'a>(entry: &'a toml::Value, field: &str) -> Result<&'a str> {
    let value = entry.get(field).and_then(toml::Value::as_str);
    value.with_context(|| format!("{LIST}: {field} is missing in {entry}"))
}

/// How often these whole lines are in the text.
fn occurrences(source: &str, lines: &str) -> usize {
    let bounded = format!("\n{}\n", lines.trim_matches('\n'));
    format!("\n{source}").matches(&bounded).count()
}

#[test]
fn each_deletion_applies_to_the_sources_and_names_a_test() -> Result<()> {
    let list: toml::Table = read(Path::new(LIST))?.parse().context(LIST)?;
    let entries = list
        .get("deletion")
        .and_then(toml::Value::as_array)
        .context(LIST)?;
    ensure!(entries.len() >= LEAST, "{LIST}: {} deletions", entries.len());
    let tests = all(&["rs"])?
        .into_iter()
        .map(|path| read(&path))
        .collect::<Result<Vec<_>>>()?;
    for entry in entries {
        let (name, file) = (text(entry, "name")?, text(entry, "file")?);
        let found = occurrences(&read(Path::new(file))?, text(entry, "lines")?);
        ensure!(
            found == 1,
            "{LIST}: the lines of {name:?} are {found} times in {file}"
        );
        let test = text(entry, "test")?.rsplit("::").next().unwrap_or_default();
        let definition = format!("fn {test}(");
        ensure!(
            tests.iter().any(|source| source.contains(&definition)),
            "{LIST}: no test {test}"
        );
        for field in ["harm", "package", "target"] {
            text(entry, field)?;
        }
    }
    for part in PARTS {
        let covered = entries
            .iter()
            .any(|entry| text(entry, "of").is_ok_and(|of| of == *part));
        ensure!(covered, "{LIST}: nothing of {part}");
    }
    Ok(())
}
