//! Layers to [`Config`]: for each key the first layer that says something wins, and every problem is reported at once.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use super::{
    Config, KubeChoice, StoreChoice, TlsFiles, file,
    layers::{KEYS, Layers, Origin, Raw},
    parse,
};

/// Keys that say something about the Kubernetes store alone.
const KUBE_KEYS: [&str; 5] = [
    "kubeconfig",
    "context",
    "namespace",
    "history",
    "history-retention",
];

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    origin: String,
    reason: String,
}

impl Problem {
    pub(super) fn new(origin: String, reason: String) -> Self {
        Self { origin, reason }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.reason)
    }
}

/// A configuration that cannot be used: everything that is wrong with it, in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ConfigError(pub Vec<Problem>);

/// Resolves the layers. Also says where each value came from, for `--print-config`.
///
/// # Errors
/// All problems of all layers, each with its origin.
pub fn resolve(layers: &Layers) -> Result<(Config, BTreeMap<&'static str, Origin>), ConfigError> {
    let mut problems = Vec::new();
    let file = layers
        .file()
        .map(|path| file::read(&path, &mut problems))
        .unwrap_or_default();
    let mut resolver = Resolver {
        layers,
        file,
        problems,
        origins: BTreeMap::new(),
    };
    resolver.refuse_unknown_variables();
    let config = resolver.config();
    match config {
        Some(config) if resolver.problems.is_empty() => Ok((config, resolver.origins)),
        _ => Err(ConfigError(resolver.problems)),
    }
}

struct Resolver<'a> {
    layers: &'a Layers,
    file: BTreeMap<&'static str, Raw>,
    problems: Vec<Problem>,
    origins: BTreeMap<&'static str, Origin>,
}

impl Resolver<'_> {
    /// Every value is looked at before any is missed, so that all problems are found.
    fn config(&mut self) -> Option<Config> {
        let listen = self.list("listen", "0.0.0.0:4433", parse::address);
        let admin_listen = self.one("admin-listen", Some("127.0.0.1:9090"), |text, _| {
            parse::address(text)
        });
        let store = self.store();
        let certificate = self.one("tls-cert", None, path);
        let key = self.one("tls-key", None, path);
        let client_ca = self.one("client-ca", None, path);
        let stale_after = self.duration("stale-after", "90s");
        let max_body = self.one("max-body", Some("1MiB"), |text, _| parse::body_limit(text));
        let max_future_skew = self.duration("max-future-skew", "5m");
        let max_age = self.duration("max-age", "400d");
        let shutdown_grace = self.duration("shutdown-grace", "25s");
        let register = self.one("register", Some("auto"), |text, _| parse::register(text));
        self.refuse_short_retention(store.as_ref(), max_age);
        Some(Config {
            listen: listen?,
            admin_listen: admin_listen?,
            store: store?,
            tls: TlsFiles {
                certificate: certificate?,
                key: key?,
                client_ca: client_ca?,
            },
            stale_after: stale_after?,
            max_body: max_body?,
            max_future_skew: max_future_skew?,
            max_age: max_age?,
            shutdown_grace: shutdown_grace?,
            register: register?,
        })
    }

    /// `--store` and what belongs to it.
    fn store(&mut self) -> Option<StoreChoice> {
        let kind = self.one("store", Some("embedded:./apollo-gateway.db"), store);
        let kube = self.kube();
        match kind? {
            StoreKind::Kube => kube.map(StoreChoice::Kube),
            StoreKind::Embedded(path) => {
                // A flag without an effect would hide that somebody meant the other store.
                for key in KUBE_KEYS {
                    if let Some(origin) = self.origins.remove(key) {
                        self.problems.push(Problem::new(
                            origin.to_string(),
                            "is for --store kube only".to_owned(),
                        ));
                    }
                }
                Some(StoreChoice::Embedded(path))
            }
        }
    }

    /// Every value is looked at, as in [`Self::config`].
    fn kube(&mut self) -> Option<KubeChoice> {
        let kubeconfig = self.optional("kubeconfig", path);
        let context = self.optional("context", |text, _| parse::context(text));
        let namespace = self.optional("namespace", |text, _| parse::namespace(text));
        let history = self.optional("history", |text, _| parse::history(text));
        let history_retention = self.optional("history-retention", |text, _| parse::duration(text));
        Some(KubeChoice {
            kubeconfig: kubeconfig?,
            context: context?,
            namespace: namespace?,
            history: history?.flatten(),
            history_retention: history_retention?,
        })
    }

    /// A row that is gone from history while its observation would still be accepted would count twice.
    fn refuse_short_retention(&mut self, store: Option<&StoreChoice>, max_age: Option<Duration>) {
        let Some(StoreChoice::Kube(kube)) = store else {
            return;
        };
        if let (Some(retention), Some(max_age)) = (kube.history_retention, max_age)
            && retention < max_age
        {
            let origin = self.origins.get("history-retention").map(ToString::to_string);
            self.problems.push(Problem::new(
                origin.unwrap_or_default(),
                format!(
                    "is shorter than max-age ({}): an observation could count twice",
                    humantime::format_duration(max_age)
                ),
            ));
        }
    }

    /// A key that may be absent: the outer `None` is a value that is wrong.
    fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str, &Origin) -> Result<T, String>,
    ) -> Option<Option<T>> {
        if !self.is_given(key) {
            return Some(None);
        }
        self.one(key, None, parse).map(Some)
    }

    fn is_given(&self, key: &'static str) -> bool {
        self.layers.flag(key).is_some() || self.layers.variable(key).is_some() || self.file.contains_key(key)
    }

    fn raw(&mut self, key: &'static str, default: Option<&str>) -> Option<Raw> {
        let default = default.map(|text| Raw {
            values: vec![text.to_owned()],
            origin: Origin::Default,
        });
        let given = self
            .layers
            .flag(key)
            .or_else(|| self.layers.variable(key))
            .or_else(|| self.file.remove(key));
        let Some(raw) = given.or(default) else {
            self.problems
                .push(Problem::new(format!("--{key}"), "is required".to_owned()));
            return None;
        };
        self.origins.insert(key, raw.origin.clone());
        Some(raw)
    }

    fn one<T>(
        &mut self,
        key: &'static str,
        default: Option<&str>,
        parse: impl Fn(&str, &Origin) -> Result<T, String>,
    ) -> Option<T> {
        let raw = self.raw(key, default)?;
        let parsed = match raw.values.as_slice() {
            [text] => parse(text, &raw.origin),
            _ => Err("takes one value".to_owned()),
        };
        self.kept(&raw.origin, parsed)
    }

    fn list<T>(
        &mut self,
        key: &'static str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let raw = self.raw(key, Some(default))?;
        let parsed = raw
            .values
            .iter()
            .map(|text| parse(text))
            .collect::<Result<Vec<T>, _>>();
        let parsed = parsed.and_then(|values| {
            if values.is_empty() {
                Err("is empty".to_owned())
            } else {
                Ok(values)
            }
        });
        self.kept(&raw.origin, parsed)
    }

    fn duration(&mut self, key: &'static str, default: &str) -> Option<Duration> {
        self.one(key, Some(default), |text, _| parse::duration(text))
    }

    fn kept<T>(&mut self, origin: &Origin, parsed: Result<T, String>) -> Option<T> {
        parsed
            .map_err(|reason| self.problems.push(Problem::new(origin.to_string(), reason)))
            .ok()
    }

    /// A misspelt variable would silently mean the default.
    fn refuse_unknown_variables(&mut self) {
        for name in self.layers.environment.keys() {
            let key = name
                .trim_start_matches("APOLLO_GATEWAY_")
                .to_lowercase()
                .replace('_', "-");
            if !KEYS.contains(&key.as_str()) && !["config", "log-format"].contains(&key.as_str()) {
                self.problems.push(Problem::new(
                    name.clone(),
                    "is not a variable of this program".to_owned(),
                ));
            }
        }
    }
}

fn path(text: &str, origin: &Origin) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("is empty, expected a file".to_owned());
    }
    Ok(file::beside(origin, PathBuf::from(text)))
}

enum StoreKind {
    Embedded(PathBuf),
    Kube,
}

fn store(text: &str, origin: &Origin) -> Result<StoreKind, String> {
    match text.split_once(':') {
        Some(("embedded", path)) if !path.is_empty() => {
            Ok(StoreKind::Embedded(file::beside(origin, PathBuf::from(path))))
        }
        _ if text == "kube" => Ok(StoreKind::Kube),
        _ => Err(format!("{text:?} is neither embedded:PATH nor kube")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(flags: &[(&'static str, &str)], environment: &[(&str, &str)]) -> Layers {
        let mut layers = Layers::default();
        for (key, text) in flags {
            layers.flags.entry(key).or_default().push((*text).to_owned());
        }
        layers.with_environment(
            environment
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned())),
        )
    }

    const TLS: [(&str, &str); 3] = [("tls-cert", "c"), ("tls-key", "k"), ("client-ca", "a")];

    #[test]
    fn flags_beat_variables_beat_the_file_beat_defaults() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.toml");
        std::fs::write(
            &path,
            "stale-after = '1m'\nmax_age = '2d'\nmax-body = 40960\ntls-cert = 'f.pem'\n",
        )
        .unwrap();
        let mut layers = layers(
            &[("tls-key", "k"), ("client-ca", "a"), ("stale-after", "3m")],
            &[
                ("APOLLO_GATEWAY_STALE_AFTER", "2m"),
                ("APOLLO_GATEWAY_MAX_AGE", "9d"),
                ("HOME", "/"),
            ],
        );
        layers.config_file = Some(path);
        let (config, origins) = resolve(&layers).unwrap();
        assert_eq!(config.stale_after, Duration::from_secs(180));
        assert_eq!(config.max_age, Duration::from_secs(9 * 86_400));
        assert_eq!(config.max_body.bytes(), 40_960);
        assert_eq!(
            config.tls.certificate,
            directory.path().join("f.pem"),
            "relative to the file"
        );
        assert_eq!(config.tls.key, PathBuf::from("k"));
        assert_eq!(origins.get("shutdown-grace"), Some(&Origin::Default));
        assert_eq!(
            origins.get("max-age"),
            Some(&Origin::Environment("APOLLO_GATEWAY_MAX_AGE".into()))
        );
    }

    #[test]
    fn every_problem_is_reported_with_its_origin() {
        let layers = layers(
            &[
                ("listen", "nowhere"),
                ("store", "etcd"),
                ("tls-cert", "c"),
                ("tls-key", "k"),
            ],
            &[
                ("APOLLO_GATEWAY_MAX_BODY", "1"),
                ("APOLLO_GATEWAY_STALEAFTER", "1m"),
            ],
        );
        let text = resolve(&layers).unwrap_err().to_string();
        for expected in [
            "--listen: \"nowhere\"",
            "--store: \"etcd\" is neither embedded:PATH nor kube",
            "--client-ca: is required",
            "APOLLO_GATEWAY_MAX_BODY: \"1\"",
            "APOLLO_GATEWAY_STALEAFTER: is not a variable",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }

    #[test]
    fn the_kube_store_takes_its_flags_and_the_embedded_one_refuses_them() {
        let mut flags = TLS.to_vec();
        flags.extend([
            ("kubeconfig", "k.yaml"),
            ("context", "staging"),
            ("namespace", "buoys"),
            ("history", "postgres://a:b@db/apollo"),
            ("history-retention", "400d"),
        ]);
        let text = resolve(&layers(&flags, &[])).unwrap_err().to_string();
        for key in KUBE_KEYS {
            assert!(
                text.contains(&format!("--{key}: is for --store kube only")),
                "{text}"
            );
        }
        flags.push(("store", "kube"));
        let StoreChoice::Kube(kube) = resolve(&layers(&flags, &[])).unwrap().0.store else {
            panic!("the kube store was asked for");
        };
        assert_eq!(kube.namespace.as_deref(), Some("buoys"));
        assert_eq!(kube.history.unwrap().as_str(), "postgres://a:b@db/apollo");
        let bare = [TLS.as_slice(), &[("store", "kube"), ("history", "none")]].concat();
        let bare = resolve(&layers(&bare, &[])).unwrap().0.store;
        assert_eq!(bare, StoreChoice::Kube(KubeChoice::default()));
    }

    #[test]
    fn history_is_kept_as_long_as_observations_are_taken() {
        let retention = |retention| {
            let kube = [
                ("store", "kube"),
                ("max-age", "10d"),
                ("history-retention", retention),
            ];
            resolve(&layers(&[TLS.as_slice(), &kube].concat(), &[]))
        };
        assert!(retention("10d").is_ok());
        let text = retention("9d 23h 59m 59s").unwrap_err().to_string();
        assert!(
            text.contains("--history-retention: is shorter than max-age"),
            "{text}"
        );
    }

    #[test]
    fn the_file_may_not_hold_unknown_keys_and_must_be_readable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.toml");
        let mut layers = layers(&TLS, &[]);
        layers.config_file = Some(path.clone());
        assert!(
            resolve(&layers)
                .unwrap_err()
                .to_string()
                .contains("cannot be read")
        );
        std::fs::write(&path, "stale = '1m'").unwrap();
        assert!(resolve(&layers).unwrap_err().to_string().contains("is not a key"));
        std::fs::write(&path, "stale-after =").unwrap();
        assert!(resolve(&layers).unwrap_err().to_string().contains("is not TOML"));
    }

    #[test]
    fn listen_repeats_and_a_variable_splits_at_commas() {
        let mut flags = TLS.to_vec();
        flags.extend([("listen", "127.0.0.1:1"), ("listen", "[::1]:2")]);
        assert_eq!(resolve(&layers(&flags, &[])).unwrap().0.listen.len(), 2);
        let variables = [("APOLLO_GATEWAY_LISTEN", "127.0.0.1:1, [::1]:2")];
        assert_eq!(resolve(&layers(&TLS, &variables)).unwrap().0.listen.len(), 2);
    }
}
