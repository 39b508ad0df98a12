//! `apollo-gateway`, on the embedded store unless told otherwise.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context;
use serde_json::Value;

use super::{Finished, PATIENCE, Pki, Program, Running, Sandbox, admin};

/// The Kubernetes store of a gateway.
#[derive(Debug, Clone)]
pub struct KubeStore {
    /// As which user of which cluster.
    pub kubeconfig: PathBuf,
    /// A URL, or `none`.
    pub history: String,
}

/// How a gateway is started. The defaults are right for most tests.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// Names its log files: two gateways in one sandbox need two.
    pub name: String,
    /// The database's file name in the sandbox.
    pub store: String,
    /// Where objects and history are, if not in that database.
    pub kube: Option<KubeStore>,
    /// UDP address; port 0 picks one. Give a port to restart where agents look for it.
    pub listen: SocketAddr,
    /// Further arguments of `serve`.
    pub arguments: Vec<String>,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            name: "gateway".to_owned(),
            store: "gateway.db".to_owned(),
            kube: None,
            listen,
            arguments: Vec::new(),
        }
    }
}

impl GatewayOptions {
    /// With further arguments of `serve`.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    fn store_flag(&self, sandbox: &Sandbox) -> String {
        match self.kube {
            Some(_) => "kube".to_owned(),
            None => format!("embedded:{}", sandbox.join(&self.store).display()),
        }
    }

    /// The `serve` command line.
    pub fn command(&self, sandbox: &Sandbox, pki: &Pki) -> anyhow::Result<Command> {
        let mut command = Command::new(Program::Gateway.path()?);
        command.current_dir(sandbox.path()).arg("serve");
        command.args([
            "--listen",
            &self.listen.to_string(),
            "--admin-listen",
            "127.0.0.1:0",
        ]);
        command.args(["--store", &self.store_flag(sandbox)]);
        if let Some(kube) = &self.kube {
            command.arg("--kubeconfig").arg(&kube.kubeconfig);
            command.args(["--history", &kube.history]);
        }
        command
            .arg("--tls-cert")
            .arg(pki.gateway_cert())
            .arg("--tls-key")
            .arg(pki.gateway_key());
        command.arg("--client-ca").arg(pki.ca()).args(&self.arguments);
        Ok(command)
    }
}

/// A gateway that serves.
pub struct Gateway {
    /// Its process.
    pub process: Running,
    udp: SocketAddr,
    admin: SocketAddr,
    store: String,
    directory: PathBuf,
}

impl Gateway {
    /// Starts it and waits until it serves.
    pub fn spawn(sandbox: &Sandbox, pki: &Pki, options: &GatewayOptions) -> anyhow::Result<Self> {
        let command = options.command(sandbox, pki)?;
        let mut process = Running::spawn(&options.name, command, sandbox.path(), Stdio::null())?;
        let line = process.line_starting("listening ", PATIENCE)?;
        let address = |key: &str| -> anyhow::Result<SocketAddr> {
            let word = line.split(' ').find_map(|word| word.strip_prefix(key));
            Ok(word.with_context(|| format!("no {key} in {line:?}"))?.parse()?)
        };
        let (udp, admin) = (address("udp=")?, address("admin=")?);
        let store = options.store_flag(sandbox);
        Ok(Self {
            process,
            udp,
            admin,
            store,
            directory: sandbox.path().to_owned(),
        })
    }

    /// Where devices reach it.
    pub fn udp(&self) -> SocketAddr {
        self.udp
    }

    /// Its admin address.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// `GET` on the admin port: status and body.
    pub fn admin_get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        admin::get(self.admin, path)
    }

    /// The sum of a metric's samples whose labels contain `labels`.
    pub fn metric(&self, name: &str, labels: &str) -> anyhow::Result<f64> {
        Ok(super::metric(&self.admin_get("/metrics")?.1, name, labels))
    }

    /// `apply -f -` of YAML.
    pub fn apply(&self, yaml: &str) -> anyhow::Result<Finished> {
        self.run("apply", &["-f", "-"], Some(yaml.as_bytes()))?.success()
    }

    /// `get WHAT... -o json`.
    pub fn get(&self, what: &[&str]) -> anyhow::Result<Value> {
        let arguments = [what, &["-o", "json"]].concat();
        self.run("get", &arguments, None)?.success()?.json()
    }

    /// Every observation of a device, as `get observations --device D -o json` prints them.
    pub fn observations(&self, device: &str) -> anyhow::Result<Vec<Value>> {
        let observations = self.get(&["observations", "--device", device])?;
        observations
            .as_array()
            .cloned()
            .context("observations are not an array")
    }

    /// The DeviceProcess `default/name`.
    pub fn device_process(&self, name: &str) -> anyhow::Result<Value> {
        self.get(&["deviceprocesses", name, "-n", "default"])
    }

    /// The Device `name`.
    pub fn device(&self, name: &str) -> anyhow::Result<Value> {
        self.get(&["devices", name])
    }

    /// A command whose output is JSON, against a store that no gateway need be serving.
    pub fn on_store(store: &str, directory: &Path, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut command = Command::new(Program::Gateway.path()?);
        command
            .current_dir(directory)
            .args(arguments)
            .args(["--store", store]);
        Running::finish("on-store", command, directory, None, PATIENCE)?
            .success()?
            .json()
    }

    /// A command of `apollo-gateway` against the same store.
    pub fn run(&self, verb: &str, arguments: &[&str], stdin: Option<&[u8]>) -> anyhow::Result<Finished> {
        let mut command = Command::new(Program::Gateway.path()?);
        command
            .current_dir(&self.directory)
            .arg(verb)
            .args(arguments)
            .args(["--store", &self.store]);
        Running::finish(verb, command, &self.directory, stdin, PATIENCE)
    }
}
