//! Who may do what: tokens, rules, and the kubeconfig of a user.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// One thing that a user may do. `*` is any, as in RBAC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural name, followed by `/status` or the like for a subresource.
    pub resource: String,
    /// `*`, or the only namespace it holds in.
    pub namespace: String,
    /// `*`, or the only object it holds for.
    pub name: String,
}

impl Rule {
    /// May do `verb` to every `resource` of `group`.
    pub fn new(verb: &str, group: &str, resource: &str) -> Self {
        let any = || "*".to_owned();
        Self {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            namespace: any(),
            name: any(),
        }
    }

    /// As the API server reads it.
    fn line(&self, user: &str) -> String {
        let resource = match (&*self.group, &*self.resource) {
            ("*", "*") => "*".to_owned(),
            (group, resource) => format!("{group}/{resource}"),
        };
        format!(
            "{user} {} {resource} {} {}\n",
            self.verb, self.namespace, self.name
        )
    }
}

/// The rules of a ClusterRole, or of a Role, which hold in its namespace. Fails if it says what the tests' API server
/// cannot hold anybody to.
pub fn rules_of(role: &Value) -> anyhow::Result<Vec<Rule>> {
    let kind = role["kind"].as_str().unwrap_or_default();
    let namespace = match kind {
        "ClusterRole" => "*",
        "Role" => role["metadata"]["namespace"]
            .as_str()
            .context("a Role without a namespace")?,
        _ => anyhow::bail!("{kind:?} is neither ClusterRole nor Role"),
    };
    let mut rules = Vec::new();
    for rule in role["rules"].as_array().context("a role without rules")? {
        ensure!(
            rule.get("nonResourceURLs").is_none(),
            "paths that are no resources are open to all: {rule}"
        );
        let mut names = words(rule, "resourceNames")?;
        if names.is_empty() {
            names.push("*");
        }
        for verb in words(rule, "verbs")? {
            for group in words(rule, "apiGroups")? {
                for resource in words(rule, "resources")? {
                    ensure!(
                        (group == "*") == (resource == "*"),
                        "\"*\" only for groups and resources together: {rule}"
                    );
                    rules.extend(names.iter().map(|name| Rule {
                        namespace: namespace.to_owned(),
                        name: (*name).to_owned(),
                        ..Rule::new(verb, group, resource)
                    }));
                }
            }
        }
    }
    Ok(rules)
}

/// The list of texts `field`; empty if absent.
fn words<'a>(rule: &'a Value, field: &str) -> anyhow::Result<Vec<&'a str>> {
    let words = rule.get(field).and_then(Value::as_array).map(Vec::as_slice);
    let words = words.unwrap_or_default().iter();
    words
        .map(|word| {
            word.as_str()
                .with_context(|| format!("{field} of {rule}: not texts"))
        })
        .collect()
}

/// A user with a token.
#[derive(Debug, Clone)]
struct User {
    name: String,
    token: String,
    /// `None`: may do everything.
    rules: Option<Vec<Rule>>,
}

/// The users of an API server, which reads the files that are written here anew for each request.
pub(super) struct Users {
    directory: PathBuf,
    users: Vec<User>,
}

impl Users {
    /// One user who may do everything.
    pub(super) fn new(directory: &Path) -> anyhow::Result<Self> {
        let mut users = Self {
            directory: directory.to_owned(),
            users: Vec::new(),
        };
        users.set("admin", None)?;
        Ok(users)
    }

    /// Adds a user, or gives one that exists other rules. Returns the token.
    pub(super) fn set(&mut self, name: &str, rules: Option<Vec<Rule>>) -> anyhow::Result<String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte);
        ensure!(
            !name.is_empty() && name.bytes().all(plain),
            "a user's name: {name:?}"
        );
        let token = match self.users.iter_mut().find(|user| user.name == name) {
            Some(user) => {
                user.rules = rules;
                user.token.clone()
            }
            None => {
                let token = format!("{:032x}", rand::random::<u128>());
                self.users.push(User {
                    name: name.to_owned(),
                    token: token.clone(),
                    rules,
                });
                token
            }
        };
        // Rules first: no request is let in before its rules hold.
        self.replace("rules", &self.rules())?;
        self.replace("tokens.csv", &self.tokens())?;
        Ok(token)
    }

    fn rules(&self) -> String {
        let mut text = String::new();
        for user in &self.users {
            if let Some(rules) = &user.rules {
                // Alone it allows nothing, and makes the user one with rules.
                text += &format!("{}\n", user.name);
                text.extend(rules.iter().map(|rule| rule.line(&user.name)));
            }
        }
        text
    }

    fn tokens(&self) -> String {
        let lines = self.users.iter().map(|user| {
            let groups = if user.rules.is_none() {
                ",system:masters"
            } else {
                ""
            };
            format!("{},{},{}{groups}\n", user.token, user.name, user.name)
        });
        lines.collect()
    }

    /// The server sees the old file or the new one, never a part.
    fn replace(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let (path, new) = (
            self.directory.join(name),
            self.directory.join(format!("{name}.new")),
        );
        std::fs::write(&new, text)?;
        std::fs::rename(&new, &path).with_context(|| format!("replace {}", path.display()))
    }
}

/// A kubeconfig with one cluster, one user and one context, in JSON, which is YAML. `ca` is PEM.
pub(super) fn kubeconfig(server: &str, ca: &str, user: &str, token: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": {
            "server": server, "certificate-authority-data": BASE64_STANDARD.encode(ca),
        }}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": user, "namespace": "default"}}],
        "current-context": "tests",
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Rule, rules_of};

    #[test]
    fn each_combination_of_a_role_is_a_rule() {
        let role = json!({"kind": "Role", "metadata": {"namespace": "apollo"}, "rules": [
            {"apiGroups": [""], "resources": ["events", "pods/log"], "verbs": ["create", "patch"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get"], "resourceNames": ["a"]},
        ]});
        let lines: String = rules_of(&role)
            .unwrap()
            .iter()
            .map(|rule| rule.line("u"))
            .collect();
        assert_eq!(
            lines,
            "u create /events apollo *\nu create /pods/log apollo *\nu patch /events apollo *\n\
             u patch /pods/log apollo *\nu get coordination.k8s.io/leases apollo a\n"
        );
    }

    #[test]
    fn what_cannot_be_held_to_is_an_error() {
        let role = |rule| json!({"kind": "ClusterRole", "rules": [rule]});
        let all = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
        assert_eq!(rules_of(&role(all)).unwrap(), [Rule::new("*", "*", "*")]);
        let part = json!({"apiGroups": ["apollo.azure.com"], "resources": ["*"], "verbs": ["get"]});
        assert!(rules_of(&role(part)).is_err());
        let path = json!({"nonResourceURLs": ["/metrics"], "verbs": ["get"]});
        assert!(rules_of(&role(path)).is_err());
    }
}
