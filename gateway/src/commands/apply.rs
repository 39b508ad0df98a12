//! `apply`: objects from files into the embedded store, everything checked before anything is written.

use std::{
    collections::HashMap,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};

use super::store_flag::{StoreFlag, block_on, storage};
use crate::{
    exit::Failure,
    manifest::{self, Document, Manifest, ObjectKey},
    store::embedded::Missing,
};

/// Flags of `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  apollo-gateway apply -f collector.yaml
  apollo-gateway apply -f fleet/ -n production
  kubectl get dp -o yaml | apollo-gateway apply -f -

Everything is checked before anything is written, and all of it is written or nothing. The spec is stored as it is
written, without defaults. `status` is ignored. Files of a directory: *.yaml, *.yml, *.json, in order of their names.")]
pub struct ApplyArgs {
    /// File or directory to read, - for stdin; may be given several times
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE|DIR|-")]
    pub files: Vec<PathBuf>,
    /// Namespace of DeviceProcesses that name none [default: default]
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Which store.
    #[command(flatten)]
    pub store: StoreFlag,
}

/// Runs `apply`.
pub fn run(args: &ApplyArgs) -> Result<(), Failure> {
    let documents = read_all(&args.files).map_err(Failure::Failed)?;
    let manifests = check_all(&documents, args.namespace.as_deref())?;
    let names: Vec<String> = manifests
        .iter()
        .map(|manifest| manifest.key.to_string())
        .collect();
    let store = args.store.open(Missing::Create)?;
    let applied = block_on(store.apply(manifests))?.map_err(storage)?;
    let mut out = std::io::stdout().lock();
    for (name, applied) in names.iter().zip(applied) {
        writeln!(out, "{name} {}", applied.as_str()).map_err(|error| Failure::Failed(error.into()))?;
    }
    Ok(())
}

/// Checks every object and tells of every problem, one a line.
fn check_all(documents: &[Document], namespace: Option<&str>) -> Result<Vec<Manifest>, Failure> {
    let mut manifests = Vec::with_capacity(documents.len());
    let mut places: HashMap<ObjectKey, &Document> = HashMap::new();
    let mut problems = Vec::new();
    for document in documents {
        match manifest::check_object(&document.value, namespace) {
            Ok(manifest) => {
                if let Some(earlier) = places.insert(manifest.key.clone(), document) {
                    problems.push(format!(
                        "{document}: {} stands in {earlier} already",
                        manifest.key
                    ));
                }
                manifests.push(manifest);
            }
            Err(found) => problems.extend(found.iter().map(|problem| format!("{document}: {problem}"))),
        }
    }
    if documents.is_empty() {
        return Err(Failure::Failed(anyhow!("no objects in what was given")));
    }
    if !problems.is_empty() {
        return Err(Failure::Failed(anyhow!(
            "nothing was applied:\n  {}",
            problems.join("\n  ")
        )));
    }
    Ok(manifests)
}

fn read_all(paths: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
    let mut documents = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("stdin")?;
            documents.extend(manifest::documents("stdin", &text)?);
            continue;
        }
        for file in files(path)? {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(&file).with_context(|| name.clone())?;
            documents.extend(manifest::documents(&name, &text)?);
        }
    }
    Ok(documents)
}

/// The file itself, or the manifests of a directory (not of its subdirectories), by name.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
        let file = entry.with_context(|| path.display().to_string())?.path();
        let extension = file.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml" | "json")) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
