//! That each rule and each promise of the documentation has tests that hold it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result, ensure};

use crate::tree::{all, read};

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
    let own = read(Path::new("tests/tests/tidy/promises.rs"))?;
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
