//! Manifests as people write them: YAML, several documents in a file, kinds instead of paths.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Kind, KubeClient};
use crate::harness::{PATIENCE, wait};

/// The field manager of what is applied here.
const MANAGER: &str = "apollo-tests";

/// Discovery lists a new kind a moment after it is established.
const DISCOVERED_WITHIN: Duration = Duration::from_secs(5);

/// The documents of a YAML file that are not empty.
pub fn documents(yaml: &str) -> anyhow::Result<Vec<Value>> {
    let all: Vec<Value> = serde_saphyr::from_multiple(yaml).context("not YAML")?;
    Ok(all.into_iter().filter(|document| !document.is_null()).collect())
}

impl KubeClient {
    /// Server-side apply of each document of a YAML file, in its order; those that name no namespace go to `default`.
    /// Returns the objects as stored.
    pub fn apply_yaml(&self, yaml: &str) -> anyhow::Result<Vec<Value>> {
        documents(yaml)?
            .iter()
            .map(|object| self.apply_object(object))
            .collect()
    }

    /// Server-side apply of one object, which says its kind and name.
    pub fn apply_object(&self, object: &Value) -> anyhow::Result<Value> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let name = text(&object["metadata"]["name"]);
        let what = format!("{api_version} {kind} {name:?}");
        ensure!(
            !api_version.is_empty() && !kind.is_empty() && !name.is_empty(),
            "no object: {what}"
        );
        let (plural, namespaced) = self.discover(&api_version, &kind)?;
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
        let mut place = Kind::of(&api_version, &plural);
        if namespaced {
            place = place.within(namespace);
        }
        self.apply(place, &name, MANAGER, object)
            .with_context(|| format!("apply {what}"))
    }

    /// The plural name of a kind, and whether its objects have a namespace.
    fn discover(&self, api_version: &str, kind: &str) -> anyhow::Result<(String, bool)> {
        let root = Kind::of(api_version, "").path(None, None);
        let what = format!("{api_version} to have the kind {kind}");
        wait::until(&what, DISCOVERED_WITHIN, || {
            let Ok(known) = self.get_path(root.trim_end_matches('/')) else {
                return Ok(None);
            };
            let resources = known["resources"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let found = resources.iter().find(|resource| {
                let name = resource["name"].as_str().unwrap_or_default();
                resource["kind"] == kind && !name.contains('/')
            });
            Ok(found
                .and_then(|found| Some((found["name"].as_str()?.to_owned(), found["namespaced"] == true))))
        })
    }

    /// Applies the CustomResourceDefinitions of `deploy/crds/` and waits until their objects can be stored.
    pub fn install_crds(&self) -> anyhow::Result<()> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/crds");
        let files = std::fs::read_dir(directory)?.map(|file| Ok(file?.path()));
        let mut files: Vec<_> = files.collect::<std::io::Result<_>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(&file)?;
            for definition in documents(&text)? {
                // A kustomization may stand beside them.
                if definition["kind"] == "CustomResourceDefinition" {
                    self.apply_object(&definition)?;
                    self.await_established(&definition)?;
                }
            }
        }
        Ok(())
    }

    fn await_established(&self, definition: &Value) -> anyhow::Result<()> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&definition["metadata"]["name"]);
        wait::until_true(&format!("{name} to be established"), PATIENCE, || {
            let stored = self.get(Kind::CRDS, &name)?;
            Ok(crate::harness::condition(&stored["status"], "Established")["status"] == "True")
        })?;
        // Established is written before the handler of the new path is there.
        let (group, version) = (
            text(&definition["spec"]["group"]),
            text(&definition["spec"]["versions"][0]["name"]),
        );
        let (api_version, plural) = (
            format!("{group}/{version}"),
            text(&definition["spec"]["names"]["plural"]),
        );
        wait::until_true(&format!("{name} to be served"), PATIENCE, || {
            match self.list(Kind::of(&api_version, &plural), "limit=1") {
                Ok(_) => Ok(true),
                Err(error) if matches!(error.code(), Some(404 | 429 | 503)) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
    }
}
