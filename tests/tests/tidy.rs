//! Rules of the source tree that no compiler checks: who may depend on what, how long a file may be, that each rule
//! of the design has a test that names it, and what must not be in the text.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Most lines of code in one file, blank lines, comments and tests not counted: one job, seen whole.
const MAX_CODE_LINES: usize = 350;
/// Files that may be longer, each with its reason.
const LONGER: &[(&str, &str)] = &[];
/// Directories that are not ours or not sources.
const SKIPPED: &[&str] = &["target", ".git", ".cache"];
/// File and module names that say nothing about what is in them.
const BANNED_NAMES: &[&str] = &["utils", "util", "common", "misc", "helpers", "helper", "stuff"];

/// Every file below `directory`, relative to the root of the tree, sorted.
fn files(directory: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    left.push(path);
                }
            } else if path
                .extension()
                .is_some_and(|e| extensions.contains(&&*e.to_string_lossy()))
            {
                found.push(path.strip_prefix(ROOT)?.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn all(extensions: &[&str]) -> Result<Vec<PathBuf>> {
    files(Path::new(ROOT), extensions)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(Path::new(ROOT).join(path)).with_context(|| path.display().to_string())
}

/// The names in the dependency tables of a manifest. `dev` adds what only its tests use.
fn dependencies(manifest: &str, dev: bool) -> Result<BTreeSet<String>> {
    let manifest: toml::Table = read(Path::new(manifest))?.parse()?;
    let tables: &[&str] = if dev {
        &["dependencies", "build-dependencies", "dev-dependencies"]
    } else {
        &["dependencies"]
    };
    let tables = tables.iter().filter_map(|table| manifest.get(*table)?.as_table());
    Ok(tables.flat_map(toml::Table::keys).cloned().collect())
}

#[test]
fn dependencies_point_one_way() -> Result<()> {
    let allowed: &[(&str, &[&str])] = &[
        ("wire", &[]),
        ("agent/core", &["apollo-wire"]),
        ("agent", &["apollo-wire", "apollo-agent-core"]),
        ("gateway/core", &["apollo-wire"]),
        ("gateway", &["apollo-wire", "apollo-gateway-core"]),
    ];
    for (package, allowed) in allowed {
        let own = dependencies(&format!("{package}/Cargo.toml"), true)?;
        let ours: BTreeSet<&str> = own
            .iter()
            .map(String::as_str)
            .filter(|name| name.starts_with("apollo-"))
            .collect();
        let forbidden: Vec<_> = ours.iter().filter(|name| !allowed.contains(name)).collect();
        ensure!(forbidden.is_empty(), "{package} must not depend on {forbidden:?}");
    }
    Ok(())
}

#[test]
fn the_cores_do_no_io() -> Result<()> {
    let io = [
        "tokio",
        "quinn",
        "quinn-proto",
        "h3",
        "h3-quinn",
        "rustls",
        "rusqlite",
        "kube",
        "rand",
        "axum",
        "nix",
    ];
    let owners: &[(&str, &[&str])] = &[
        ("rusqlite", &["agent", "gateway", "tests"]),
        ("kube", &["gateway"]),
        ("quinn", &["agent", "gateway", "tests"]),
        ("h3", &["agent", "gateway", "tests"]),
        ("rustls", &["agent", "gateway", "tests"]),
    ];
    for package in ["wire", "agent/core", "agent", "gateway/core", "gateway", "tests"] {
        let own = dependencies(&format!("{package}/Cargo.toml"), false)?;
        if ["wire", "agent/core", "gateway/core"].contains(&package) {
            let forbidden: Vec<_> = io.iter().filter(|name| own.contains(**name)).collect();
            ensure!(
                forbidden.is_empty(),
                "{package} decides, it does no IO: {forbidden:?}"
            );
        }
        for (name, owners) in owners {
            ensure!(
                !own.contains(*name) || owners.contains(&package),
                "{package} must not depend on {name}"
            );
        }
    }
    // Clocks and threads need no dependency.
    for package in ["wire", "agent/core", "gateway/core"] {
        for path in files(&Path::new(ROOT).join(package).join("src"), &["rs"])? {
            let text = code_of(&read(&path)?).join("\n");
            for word in [
                "SystemTime::now",
                "Instant::now",
                "Timestamp::now",
                "std::fs",
                "std::net",
                "std::thread",
            ] {
                ensure!(!text.contains(word), "{}: {word} in a core", path.display());
            }
        }
    }
    Ok(())
}

/// The lines of code: no blank lines, no comments, nothing from the unit tests at the end.
fn code_of(text: &str) -> Vec<&str> {
    let before_tests = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    before_tests.lines().filter(is_code).collect()
}

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

/// Ids of the form `R-01` in a text.
fn ids<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let starts = text.match_indices(prefix).filter(|(at, _)| {
        // Not the end of a longer word.
        !text
            .get(..*at)
            .unwrap_or_default()
            .ends_with(|c: char| c.is_alphanumeric() || c == '-')
    });
    let id = |at: usize| text.get(at..at + prefix.len() + 2);
    // Two digits and no more: "P-256" is a curve.
    let digits = |id: &&str| id.chars().rev().take(2).all(|c| c.is_ascii_digit());
    let ends = |at: usize| {
        !text
            .get(at + prefix.len() + 2..)
            .unwrap_or_default()
            .starts_with(char::is_alphanumeric)
    };
    starts
        .filter(|(at, _)| ends(*at))
        .filter_map(|(at, _)| id(at))
        .filter(digits)
        .collect()
}

/// What tests say: files of `tests/` directories whole, of others the part from the first `#[cfg(test)]` on.
fn test_text() -> Result<String> {
    let mut all_text = String::new();
    for path in all(&["rs"])? {
        let text = read(&path)?;
        let is_test = path.iter().skip(1).any(|part| part == "tests");
        let from = if is_test {
            Some(0)
        } else {
            text.find("#[cfg(test)]")
        };
        all_text += from.and_then(|from| text.get(from..)).unwrap_or_default();
    }
    Ok(all_text)
}

#[test]
fn every_rule_and_every_promise_is_cited_by_a_test() -> Result<()> {
    let tests = test_text()?;
    let mut required: BTreeSet<String> = (1..=13).map(|number| format!("R-{number:02}")).collect();
    let mut documents = all(&["md"])?;
    documents.retain(|path| path.starts_with("docs") || path.as_os_str() == "ARCHITECTURE.md");
    for path in documents {
        let text = read(&path)?;
        for prefix in ["R-", "P-", "Q-"] {
            required.extend(ids(&text, prefix).into_iter().map(str::to_owned));
        }
    }
    // This file's own text would cite what it looks for.
    let own = read(Path::new("tests/tests/tidy.rs"))?;
    let tests = tests.replace(&own, "");
    let uncited: Vec<_> = required
        .iter()
        .filter(|id| !tests.contains(id.as_str()))
        .collect();
    ensure!(uncited.is_empty(), "no test names {uncited:?}");
    Ok(())
}

/// The tests in a source file: functions below a test attribute, and the names given to `contract!`.
fn tests_in(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let (mut attributed, mut contract) = (false, false);
    for line in text.lines().map(str::trim) {
        attributed |= line.starts_with("#[test") || line.starts_with("#[tokio::test");
        contract = line.starts_with("contract!(") || (contract && !line.starts_with(");"));
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if let Some(function) = function {
            let name = function.split(['(', '<']).next().filter(|_| attributed);
            found.extend(name);
            attributed = false;
        } else if contract {
            found.extend(line.strip_suffix(','));
        }
    }
    found
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rows of the tables in docs/testing.md that begin with an id: the id, and the last cell, which names tests.
fn rows_of_tests(document: &str) -> BTreeMap<&str, &str> {
    let rows = document.lines().filter(|line| line.starts_with("| "));
    let row = |line| {
        let mut cells = str::split(line, '|')
            .map(str::trim)
            .filter(|cell| !cell.is_empty());
        Some((cells.next()?, cells.next_back()?))
    };
    let has_id = |(id, _): &(&str, &str)| {
        let number = id.rsplit(['-', '_']).next().unwrap_or_default();
        number.len() == 2 && number.chars().all(|c| c.is_ascii_digit())
    };
    rows.filter_map(row).filter(has_id).collect()
}

#[test]
fn docs_testing_has_a_row_for_each_id_and_names_tests_that_exist() -> Result<()> {
    let document = read(Path::new("docs/testing.md"))?;
    let rows = rows_of_tests(&document);
    let mut required: BTreeSet<String> = (1..=13).map(|number| format!("R-{number:02}")).collect();
    required.extend((1..=12).map(|number| format!("finding_{number:02}")));
    for path in all(&["md"])?.iter().filter(|path| path.starts_with("docs")) {
        let text = read(path)?;
        for prefix in ["R-", "Q-", "G-", "S-", "P-"] {
            required.extend(ids(&text, prefix).into_iter().map(str::to_owned));
        }
    }
    let missing: Vec<_> = required
        .iter()
        .filter(|id| !rows.contains_key(id.as_str()))
        .collect();
    ensure!(missing.is_empty(), "docs/testing.md has no row for {missing:?}");
    for (id, named) in rows {
        ensure!(required.contains(id), "docs/testing.md: {id} is nothing's id");
        let (mut file, mut tests) = (String::new(), 0);
        for name in quoted(named) {
            if name.ends_with(".rs") {
                file = read(Path::new(name)).with_context(|| format!("docs/testing.md, {id}"))?;
                continue;
            }
            ensure!(
                tests_in(&file).contains(name),
                "docs/testing.md, {id}: no test {name} where it is said to be"
            );
            tests += usize::from(!id.starts_with("finding_") || name.starts_with(id));
        }
        ensure!(tests > 0, "docs/testing.md: no test for {id}");
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
