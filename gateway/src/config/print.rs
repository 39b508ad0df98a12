//! `--print-config`: the effective configuration as a file that `--config` reads, each value with its origin.

use std::{collections::BTreeMap, fmt::Write, path::Path, time::Duration};

use super::{Config, KubeChoice, Origin, Register, StoreChoice};

/// The configuration as TOML text. Paths are absolute: a file's own are relative to the file, wherever that will be.
pub fn print(config: &Config, origins: &BTreeMap<&'static str, Origin>) -> String {
    let path = |path: &Path| quoted(&absolute(path));
    let listen: Vec<String> = config
        .listen
        .iter()
        .map(|address| quoted(&address.to_string()))
        .collect();
    let register = match config.register {
        Register::Auto => "auto",
        Register::Manual => "manual",
    };
    let mut lines = vec![
        ("listen", format!("[{}]", listen.join(", "))),
        ("admin-listen", quoted(&config.admin_listen.to_string())),
    ];
    lines.extend(store(&config.store));
    lines.extend([
        ("tls-cert", path(&config.tls.certificate)),
        ("tls-key", path(&config.tls.key)),
        ("client-ca", path(&config.tls.client_ca)),
        ("stale-after", duration(config.stale_after)),
        ("max-body", config.max_body.bytes().to_string()),
        ("max-future-skew", duration(config.max_future_skew)),
        ("max-age", duration(config.max_age)),
        ("shutdown-grace", duration(config.shutdown_grace)),
        ("register", quoted(register)),
    ]);
    let mut text = String::new();
    for (key, value) in lines {
        let origin = origins.get(key).map_or_else(String::new, ToString::to_string);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key} = {value}  # {origin}");
    }
    text
}

/// The store and what belongs to it. `history` holds its password: what is printed here is a configuration file.
fn store(choice: &StoreChoice) -> Vec<(&'static str, String)> {
    match choice {
        StoreChoice::Embedded(path) => vec![("store", quoted(&format!("embedded:{}", absolute(path))))],
        StoreChoice::Kube(kube) => {
            let KubeChoice {
                kubeconfig,
                context,
                namespace,
                history,
                history_retention,
            } = kube;
            let history = history.as_ref().map_or("none", |url| url.as_str());
            let lines = [
                ("store", Some(quoted("kube"))),
                (
                    "kubeconfig",
                    kubeconfig.as_deref().map(|path| quoted(&absolute(path))),
                ),
                ("context", context.as_deref().map(quoted)),
                ("namespace", namespace.as_deref().map(quoted)),
                ("history", Some(quoted(history))),
                ("history-retention", history_retention.map(duration)),
            ];
            lines
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?)))
                .collect()
        }
    }
}

fn duration(duration: Duration) -> String {
    quoted(&humantime::format_duration(duration).to_string())
}

/// Relative to the working directory, as it is meant; as written where there is none.
fn absolute(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.display().to_string()
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
