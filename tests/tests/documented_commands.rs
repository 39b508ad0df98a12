//! Every command that the documentation, the examples in `deploy/` and the programs' own help show is one that the
//! programs understand, and every flag of the programs is documented.
//!
//! A command is run with `--help` behind it: what stands before is read, flag by flag, and nothing is done.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use apollo_tests::harness::Program;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// What a command line begins with, and the program it starts.
const PROGRAMS: &[&str] = &[
    "apollo-agent ",
    "apollo-gateway ",
    "apollo-linksim ",
    "cargo quickstart",
    "cargo linksim",
];
/// Words that stand for something, and something.
const PLACEHOLDERS: &[(&str, &str)] = &[("N", "1"), ("SEQ...", "1"), ("$APOLLO_PROCESS", "default/a")];

fn program(name: &str) -> Result<PathBuf> {
    match name {
        "apollo-agent" => Program::Agent.path(),
        "apollo-gateway" => Program::Gateway.path(),
        "apollo-linksim" => Ok(env!("CARGO_BIN_EXE_apollo-linksim").into()),
        "apollo-quickstart" => Ok(env!("CARGO_BIN_EXE_apollo-quickstart").into()),
        other => bail!("no program {other}"),
    }
}

/// `--help` of a command: exit code 0 and what it printed, or why not.
fn help(name: &str, arguments: &[String]) -> Result<String> {
    let output = Command::new(program(name)?)
        .args(arguments)
        .arg("--help")
        .output()?;
    let refusal = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{refusal}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The words of a shell command, up to a comment, a pipe, a redirection or the end of the command.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') => words.push(std::mem::take(&mut word)),
            (_, c) => word.push(c),
        }
    }
    words.push(word);
    let ends = |word: &String| ["#", "|", "&", "&&", "<", ">", ";"].contains(&word.as_str());
    let words = words
        .into_iter()
        .filter(|word| !word.is_empty())
        .take_while(|word| !ends(word));
    words
        .map(|word| {
            let known = PLACEHOLDERS.iter().find(|(placeholder, _)| word == *placeholder);
            known.map_or(word.clone(), |(_, instead)| (*instead).to_owned())
        })
        .collect()
}

/// The command lines in a text: those that begin a line, comment signs aside, with their continuations, and those that
/// are quoted by backticks.
fn commands(text: &str) -> Vec<Vec<String>> {
    let joined = text.replace("\\\n", " ");
    let begins = |line: &&str| PROGRAMS.iter().any(|program| line.starts_with(program));
    let lines = joined
        .lines()
        .map(|line| line.trim_start_matches(['#', ' ', '/']));
    // Fences are backticks too; what they enclose is read line by line.
    let quoted = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|quoted| !quoted.contains('\n'));
    let found = lines.chain(quoted).filter(begins);
    // Several on one line are several.
    let single = found.flat_map(|line| line.split(" && ")).filter(begins);
    single.map(words).filter(|words| words.len() > 1).collect()
}

/// A command as the program it starts and the arguments.
fn started(command: &[String]) -> Option<(&str, &[String])> {
    match command {
        [cargo, alias, rest @ ..] if cargo == "cargo" => match alias.as_str() {
            "quickstart" => Some(("apollo-quickstart", rest)),
            "linksim" => Some(("apollo-linksim", rest)),
            _ => None,
        },
        [name, rest @ ..] => Some((name, rest)),
        [] => None,
    }
}

/// The subcommands that a help text lists.
fn subcommands(help: &str) -> Vec<String> {
    let listed = help.split("Commands:\n").nth(1).unwrap_or_default();
    let lines = listed.lines().take_while(|line| line.starts_with("  "));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Every help text of a program: its own, its subcommands', theirs.
fn help_texts(name: &str) -> Result<Vec<String>> {
    let (mut texts, mut left) = (Vec::new(), vec![Vec::new()]);
    while let Some(arguments) = left.pop() {
        let text = help(name, &arguments)?;
        left.extend(
            subcommands(&text)
                .into_iter()
                .map(|sub| [arguments.clone(), vec![sub]].concat()),
        );
        texts.push(text);
    }
    Ok(texts)
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(Path::new(ROOT).join(path)).with_context(|| path.to_owned())
}

/// The texts that show commands, each with its name.
fn texts() -> Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    for path in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "deploy/README.md",
        "deploy/compose.kubernetes.yaml",
        "deploy/compose.yaml",
        "deploy/Dockerfile",
    ] {
        texts.push((path.to_owned(), read(path)?));
    }
    for entry in std::fs::read_dir(Path::new(ROOT).join("docs"))? {
        let name = format!("docs/{}", entry?.file_name().to_string_lossy());
        texts.push((name.clone(), read(&name)?));
    }
    for name in ["apollo-agent", "apollo-gateway", "apollo-linksim"] {
        texts.extend(
            help_texts(name)?
                .into_iter()
                .map(|text| (format!("help of {name}"), text)),
        );
    }
    Ok(texts)
}

#[test]
fn every_command_that_is_shown_is_understood() -> Result<()> {
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for (place, text) in texts()? {
        for command in commands(&text) {
            let Some((name, arguments)) = started(&command) else {
                continue;
            };
            checked += 1;
            if let Err(refusal) = help(name.trim_start_matches('/'), arguments) {
                wrong.push(format!("{place}: {}: {refusal}", command.join(" ")));
            }
        }
    }
    ensure!(wrong.is_empty(), "{wrong:#?}");
    ensure!(checked > 25, "only {checked} commands were found");
    Ok(())
}

/// The names of flags in a text.
fn flags(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words
        .filter(|word| word.starts_with("--") && word.len() > 3)
        .collect()
}

#[test]
fn the_flags_of_serve_and_run_are_those_of_their_pages() -> Result<()> {
    let serve = help("apollo-gateway", &["serve".to_owned()])?;
    let page = read("docs/gateway.md")?;
    let table: String = page.lines().filter(|line| line.starts_with("| `--")).collect();
    let of_all = ["--help", "--version"];
    let offered: BTreeSet<_> = flags(&serve)
        .into_iter()
        .filter(|flag| !of_all.contains(flag))
        .collect();
    let in_prose = ["--print-config", "--check-config"];
    let documented: BTreeSet<_> = flags(&table).into_iter().chain(in_prose).collect();
    assert_eq!(offered, documented, "serve");
    for flag in in_prose {
        ensure!(page.contains(flag), "docs/gateway.md does not tell of {flag}");
    }

    let run = help("apollo-agent", &["run".to_owned()])?;
    let page = read("docs/agent.md")?;
    let settings = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | `APOLLO_AGENT_").next());
    let settings: Vec<String> = settings
        .flat_map(|cell| {
            cell.split('`')
                .step_by(2)
                .map(|name| format!("--{name}"))
                .collect::<Vec<_>>()
        })
        .filter(|flag| flag.len() > 2 && !flag.contains([',', ' ', '|']))
        .collect();
    let offered: BTreeSet<_> = flags(&run)
        .into_iter()
        .filter(|flag| !of_all.contains(flag))
        .collect();
    let documented: BTreeSet<_> = settings
        .iter()
        .map(String::as_str)
        .chain(in_prose)
        .chain(["--config"])
        .collect();
    assert_eq!(offered, documented, "run");
    Ok(())
}

/// `cargo test -p PACKAGE --test FILE` and the like: package, kind of target, its name.
fn cargo_targets(text: &str) -> Vec<(String, Option<(String, String)>)> {
    let quoted = text.split('`').skip(1).step_by(2);
    let lines = text.lines().map(|line| line.trim_start_matches(['#', ' ', '/']));
    let verbs = ["cargo test ", "cargo run ", "cargo bench "];
    let found = quoted
        .chain(lines)
        .filter(|line| verbs.iter().any(|verb| line.starts_with(verb)));
    let mut targets = Vec::new();
    for command in found {
        let words = words(command);
        let after = |flag: &str| {
            let at = words.iter().position(|word| word == flag)?;
            words.get(at + 1).cloned()
        };
        let target = ["--test", "--bench", "--example", "--bin"]
            .iter()
            .find_map(|flag| Some(((*flag).to_owned(), after(flag)?)));
        let packages = words
            .iter()
            .zip(words.iter().skip(1))
            .filter(|(flag, _)| *flag == "-p");
        targets.extend(packages.map(|(_, package)| (package.clone(), target.clone())));
    }
    targets
}

/// The directory of each package of the workspace.
fn packages() -> Result<Vec<(String, PathBuf)>> {
    let workspace: toml::Table = read("Cargo.toml")?.parse()?;
    let members = workspace["workspace"]["members"]
        .as_array()
        .context("no members")?;
    let members = members.iter().filter_map(toml::Value::as_str);
    members
        .map(|member| {
            let manifest: toml::Table = read(&format!("{member}/Cargo.toml"))?.parse()?;
            let name = manifest["package"]["name"].as_str().context("no name")?;
            Ok((name.to_owned(), Path::new(ROOT).join(member)))
        })
        .collect()
}

#[test]
fn every_package_and_target_that_a_cargo_command_names_exists() -> Result<()> {
    let packages = packages()?;
    let mut checked = 0;
    for (place, text) in texts()? {
        for (package, target) in cargo_targets(&text) {
            let directory = packages
                .iter()
                .find(|(name, _)| *name == package)
                .map(|(_, path)| path);
            let directory = directory.with_context(|| format!("{place}: no package {package}"))?;
            checked += 1;
            let Some((kind, name)) = target else { continue };
            let below = match kind.as_str() {
                "--test" => "tests",
                "--bench" => "benches",
                "--example" => "examples",
                _ => "src/bin",
            };
            let file = directory.join(below).join(format!("{name}.rs"));
            let main = directory.join(below).join(&name).join("main.rs");
            ensure!(
                file.exists() || main.exists(),
                "{place}: {package} has no {kind} {name}"
            );
        }
    }
    ensure!(checked > 10, "only {checked} targets were found");
    Ok(())
}
