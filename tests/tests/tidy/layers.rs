//! Who may depend on whom, and that the cores do no IO.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Result, ensure};

use crate::tree::{ROOT, code_of, files, read};

/// What is in memory for tests what is on disk else: the tests of every layer may compare with it.
const TWINS: &str = "apollo-twins";

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
        ("tests/power", &[]),
    ];
    for (package, allowed) in allowed {
        let own = dependencies(&format!("{package}/Cargo.toml"), true)?;
        let shipped = dependencies(&format!("{package}/Cargo.toml"), false)?;
        ensure!(
            !shipped.contains(TWINS),
            "{package} may use {TWINS} in its tests only"
        );
        let allowed: Vec<&str> = allowed.iter().copied().chain([TWINS]).collect();
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
        ("fuser", &["tests/power"]),
    ];
    for package in [
        "wire",
        "agent/core",
        "agent",
        "gateway/core",
        "gateway",
        "tests",
        "tests/power",
    ] {
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
