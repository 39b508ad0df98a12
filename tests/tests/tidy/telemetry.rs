//! That the metrics and events of the documentation are those of the code, both ways.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Result, ensure};

use crate::tree::{ROOT, code_of, files, read};

/// Words of a text, cut at everything that cannot be part of a name.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// The names a source text registers metrics under, without the `_total` that the exposition format gives to counters.
fn registered(code: &str) -> BTreeSet<String> {
    let first_text = |after: &str| after.split('"').nth(1).map(str::to_owned);
    let prefix = code.split("with_prefix(").nth(1).and_then(first_text);
    let names = code.split("registry.register(").skip(1).filter_map(first_text);
    names
        .map(|name| {
            prefix
                .iter()
                .chain([&name])
                .cloned()
                .collect::<Vec<_>>()
                .join("_")
        })
        .collect()
}

/// The names a page gives, in the same form.
fn documented(page: &str, prefix: &str) -> BTreeSet<String> {
    words(page)
        .filter(|word| word.starts_with(prefix))
        .map(|word| word.trim_end_matches("_total").to_owned())
        .collect()
}

#[test]
fn the_metrics_of_the_documentation_are_those_of_the_code() -> Result<()> {
    for (prefix, code, page) in [
        ("apollo_gateway_", "gateway/src/metrics.rs", "docs/telemetry.md"),
        ("apollo_agent_", "agent/src/metrics.rs", "docs/agent.md"),
    ] {
        let registered = registered(&code_of(&read(Path::new(code))?).join("\n"));
        let documented = documented(&read(Path::new(page))?, prefix);
        ensure!(registered.len() > 1, "{code}: found {registered:?} alone");
        ensure!(
            registered == documented,
            "{code} has {registered:?}, {page} has {documented:?}"
        );
    }
    Ok(())
}

/// The structs of a source text that can be emitted: events.
fn events(text: &str) -> BTreeSet<String> {
    let implementations = text.split("\nimpl").skip(1);
    implementations
        .filter(|body| body.contains("pub fn emit("))
        .filter_map(|body| words(body.split('{').next()?).find(|word| word.starts_with(char::is_uppercase)))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_events_of_the_documentation_are_those_of_the_code() -> Result<()> {
    let mut emitted = BTreeSet::new();
    for path in files(&Path::new(ROOT).join("gateway/src"), &["rs"])? {
        emitted.extend(events(&read(&path)?));
    }
    let page = read(Path::new("docs/telemetry.md"))?;
    // The first cell of each row of the table below "## Logs".
    let table = page.split("| event |").nth(1).unwrap_or_default();
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let documented: BTreeSet<String> = rows
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect();
    ensure!(emitted.len() > 5, "found {emitted:?} alone");
    ensure!(
        emitted == documented,
        "emitted {emitted:?}, documented {documented:?}"
    );
    Ok(())
}
