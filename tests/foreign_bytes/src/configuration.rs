//! Configuration files and environments of both programs.

use std::{cell::RefCell, fs, path::PathBuf};

use apollo_agent::config::{Layer, Resolved};
use apollo_gateway::config::{self, Config, Layers, StoreChoice};
use tempfile::TempDir;

/// What stands between the file and the variables, each on its line.
const VARIABLES: &str = "\n---\n";

thread_local! {
    /// One directory for all runs of a thread: a file has to be a file.
    static DIRECTORY: RefCell<Option<TempDir>> = const { RefCell::new(None) };
}

/// The text of a configuration file, then perhaps variables. What `--print-config` prints of it is a file that means the
/// same; every problem says where it was written.
pub fn agent_config(bytes: &[u8]) {
    let Some((path, variables)) = written(bytes, "APOLLO_AGENT_") else {
        return;
    };
    let resolved = Resolved::new(Layer::default(), variables, Some(&path));
    let printed = resolved.to_toml();
    let config = resolved.validate();
    fs::write(&path, &printed).expect("the directory is ours");
    let again = Resolved::new(Layer::default(), [], Some(&path)).validate();
    match config {
        Ok(config) => assert_eq!(again.as_ref(), Ok(&config), "{printed}"),
        Err(error) => {
            let text = error.to_string();
            let problems = text.lines().skip(1).filter(|line| line.starts_with("  "));
            assert!(problems.count() > 0, "{text}");
        }
    }
}

/// As [`agent_config`], of the gateway.
pub fn gateway_config(bytes: &[u8]) {
    let Some((path, variables)) = written(bytes, "APOLLO_GATEWAY_") else {
        return;
    };
    let layers = |variables| {
        let layers = Layers {
            config_file: Some(path.clone()),
            ..Layers::default()
        };
        Layers::with_environment(layers, variables)
    };
    match config::resolve(&layers(variables)) {
        Ok((config, origins)) => {
            let printed = config::print(&config, &origins);
            fs::write(&path, &printed).expect("the directory is ours");
            let again = config::resolve(&layers(vec![])).map(|(config, _)| config);
            assert_eq!(again, Ok(with_absolute_paths(config)), "{printed}");
        }
        Err(error) => assert!(!error.0.is_empty()),
    }
}

/// What relative paths mean in a working directory.
fn with_absolute_paths(mut config: Config) -> Config {
    let absolute = |path: &mut PathBuf| *path = std::path::absolute(&path).expect("a path that is not empty");
    let tls = &mut config.tls;
    [&mut tls.certificate, &mut tls.key, &mut tls.client_ca]
        .into_iter()
        .for_each(absolute);
    match &mut config.store {
        StoreChoice::Embedded(store) => absolute(store),
        StoreChoice::Kube(kube) => kube.kubeconfig.iter_mut().for_each(absolute),
    }
    config
}

/// The file, written, and the variables with their prefix.
fn written(bytes: &[u8], prefix: &str) -> Option<(PathBuf, Vec<(String, String)>)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (file, variables) = text.split_once(VARIABLES).unwrap_or((text, ""));
    let variables = variables
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (format!("{prefix}{name}"), value.to_owned()));
    let path = DIRECTORY.with_borrow_mut(|directory| {
        let directory = directory.get_or_insert_with(|| TempDir::new().expect("a temporary directory"));
        directory.path().join("config.toml")
    });
    fs::write(&path, file).expect("the directory is ours");
    Some((path, variables.collect()))
}
