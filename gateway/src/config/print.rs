//! `--print-config`: the effective configuration as a file that `--config` reads, each value with its origin.

use std::{collections::BTreeMap, fmt::Write, path::Path, time::Duration};

use super::{Config, Origin, Register, StoreChoice};

/// The configuration as TOML text. Paths are absolute: a file's own are relative to the file, wherever that will be.
pub fn print(config: &Config, origins: &BTreeMap<&'static str, Origin>) -> String {
    let path = |path: &Path| quoted(&absolute(path));
    let StoreChoice::Embedded(store) = &config.store;
    let listen: Vec<String> = config
        .listen
        .iter()
        .map(|address| quoted(&address.to_string()))
        .collect();
    let register = match config.register {
        Register::Auto => "auto",
        Register::Manual => "manual",
    };
    let lines = [
        ("listen", format!("[{}]", listen.join(", "))),
        ("admin-listen", quoted(&config.admin_listen.to_string())),
        ("store", quoted(&format!("embedded:{}", absolute(store)))),
        ("tls-cert", path(&config.tls.certificate)),
        ("tls-key", path(&config.tls.key)),
        ("client-ca", path(&config.tls.client_ca)),
        ("stale-after", duration(config.stale_after)),
        ("max-body", config.max_body.bytes().to_string()),
        ("max-future-skew", duration(config.max_future_skew)),
        ("max-age", duration(config.max_age)),
        ("shutdown-grace", duration(config.shutdown_grace)),
        ("register", quoted(register)),
    ];
    let mut text = String::new();
    for (key, value) in lines {
        let origin = origins.get(key).map_or_else(String::new, ToString::to_string);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key} = {value}  # {origin}");
    }
    text
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
