//! That each rule and each promise of the documentation has tests that hold it.
//!
//! A page declares its promises in tables whose rows begin with an id, a letter and two digits (`A-01`). The tables of
//! `docs/testing.md` name for each id the tests that hold it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result, ensure};

use crate::tree::{all, read};

/// The page with the tables of tests.
const TABLES: &str = "docs/testing.md";
/// Pages that promise nothing, each with its reason.
const NO_PROMISES: &[(&str, &str)] = &[(TABLES, "it says how the promises of the others are tested")];
/// The rules of the design: whatever becomes of a page, these are held.
const RULES: std::ops::RangeInclusive<u8> = 1..=13;
/// Mistakes that must not come back; the tables name the tests, which carry the same names.
const FINDINGS: std::ops::RangeInclusive<u8> = 1..=12;

/// Whether this is an id: `A-01`.
fn is_id(text: &str) -> bool {
    matches!(text.as_bytes(), [b'A'..=b'Z', b'-', b'0'..=b'9', b'0'..=b'9'])
}

/// The ids in a text. "P-256" is a curve and "UTF-8" a form of text: neither is one.
fn ids(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter(|word| is_id(word)).collect()
}

/// The cells of each row of a document's tables.
fn rows(document: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = document.lines().filter(|line| line.starts_with("| "));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

fn pages() -> Result<Vec<(String, String)>> {
    let paths = all(&["md"])?.into_iter().filter(|path| path.starts_with("docs"));
    paths
        .map(|path| Ok((path.to_string_lossy().into_owned(), read(&path)?)))
        .collect()
}

/// Every id that a page declares, and where. An id is declared once.
fn declared() -> Result<BTreeMap<String, String>> {
    let mut declared = BTreeMap::new();
    for (page, text) in pages()?.into_iter().filter(|(page, _)| page != TABLES) {
        for id in rows(&text).filter_map(|cells| cells.first().copied().filter(|cell| is_id(cell))) {
            let before = declared.insert(id.to_owned(), page.clone());
            ensure!(before.is_none(), "{page}: {id} is declared twice");
        }
    }
    Ok(declared)
}

#[test]
fn every_page_declares_its_promises_and_numbers_them_without_a_hole() -> Result<()> {
    let declared = declared()?;
    for (page, text) in pages()? {
        let own: Vec<&str> = declared
            .iter()
            .filter_map(|(id, of)| (*of == page).then_some(id.as_str()))
            .collect();
        let excepted = NO_PROMISES.iter().any(|(name, _)| *name == page);
        ensure!(
            own.is_empty() == excepted,
            "{page} declares {own:?}: a page has promises with ids, or a reason to have none"
        );
        // A page has a letter of its own, so that the next number is known without looking elsewhere.
        for (number, id) in own.iter().enumerate() {
            let letter = own.first().and_then(|first| first.get(..1)).unwrap_or_default();
            ensure!(
                *id == format!("{letter}-{:02}", number + 1),
                "{page}: {id} is out of order"
            );
        }
        let unknown: Vec<_> = ids(&text)
            .into_iter()
            .filter(|id| !declared.contains_key(*id))
            .collect();
        ensure!(
            unknown.is_empty(),
            "{page} speaks of {unknown:?}, which no page declares"
        );
    }
    for number in RULES {
        let rule = format!("R-{number:02}");
        ensure!(declared.contains_key(&rule), "{rule} is declared nowhere");
    }
    Ok(())
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

/// The rules of the design and the queue's promises are cited where they are tested, so that a reader of the test finds
/// what it is about.
#[test]
fn every_rule_and_every_promise_of_the_queue_is_cited_by_a_test() -> Result<()> {
    let tests = test_text()?;
    // This file's own text would cite what it looks for.
    let own = read(Path::new("tests/tests/tidy/promises.rs"))?;
    let tests = tests.replace(&own, "");
    let declared = declared()?;
    let required = declared
        .keys()
        .filter(|id| id.starts_with("R-") || id.starts_with("Q-"));
    let uncited: Vec<_> = required.filter(|id| !tests.contains(id.as_str())).collect();
    ensure!(uncited.is_empty(), "no test names {uncited:?}");
    Ok(())
}

/// The tests in a source file that run by themselves: functions below a test attribute, and the names given to
/// `contract!`.
fn tests_in(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let (mut attributed, mut contract) = (false, false);
    for line in text.lines().map(str::trim) {
        attributed |= line.starts_with("#[test") || line.starts_with("#[tokio::test");
        attributed &= !line.starts_with("#[ignore");
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

/// The rows of the tables of tests: the id, and the last cell, which names tests.
fn tables(document: &str) -> Result<BTreeMap<&str, &str>> {
    let mut found = BTreeMap::new();
    for cells in rows(document) {
        let Some((id, named)) = cells.first().zip(cells.last()) else {
            continue;
        };
        if is_id(id) || id.starts_with("finding_") {
            let before = found.insert(*id, *named);
            ensure!(before.is_none(), "{TABLES}: {id} has two rows");
        }
    }
    Ok(found)
}

#[test]
fn docs_testing_has_a_row_for_each_id_and_names_tests_that_exist() -> Result<()> {
    let document = read(Path::new(TABLES))?;
    let rows = tables(&document)?;
    let mut required: BTreeSet<String> = declared()?.into_keys().collect();
    required.extend(FINDINGS.map(|number| format!("finding_{number:02}")));
    let missing: Vec<_> = required
        .iter()
        .filter(|id| !rows.contains_key(id.as_str()))
        .collect();
    ensure!(missing.is_empty(), "{TABLES} has no row for {missing:?}");
    let mut wrong = Vec::new();
    for (id, named) in rows {
        ensure!(required.contains(id), "{TABLES}: {id} is nothing's id");
        let (mut file, mut tests) = (String::new(), 0);
        for name in quoted(named) {
            if name.ends_with(".rs") {
                file = read(Path::new(name)).with_context(|| format!("{TABLES}, {id}"))?;
            } else if tests_in(&file).contains(name) {
                tests += usize::from(!id.starts_with("finding_") || name.starts_with(id));
            } else {
                wrong.push(format!("{id}: no test {name} where it is said to be"));
            }
        }
        if tests == 0 {
            wrong.push(format!("{id}: no test"));
        }
    }
    ensure!(wrong.is_empty(), "{TABLES}: {wrong:#?}");
    Ok(())
}
