//! The two processes: etcd, and the API server on it.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use rand::Rng;

use super::built::Built;
use crate::harness::{PATIENCE, Running, admin, wait};

/// Ports are drawn from here: below those that the kernel gives to outgoing connections, so that none of these takes a
/// port while its part is stopped.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How long a part may take to end by itself. Each waits for its clients: etcd for the API server's watches, the API
/// server up to a minute for those of others.
const END_WITHIN: Duration = Duration::from_secs(2);

/// What is recorded of each request. RequestReceived would double the log and says nothing about the answer.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";

/// One of the two processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The API server.
    ApiServer,
    /// Its store.
    Etcd,
}

/// Both processes, what they are started with, and where their files are. They keep ports, data, certificates and
/// tokens when they are stopped and started again.
pub(super) struct Parts {
    // In the order they are killed in.
    server: Option<Running>,
    etcd: Option<Running>,
    built: Built,
    directory: PathBuf,
    arguments: Vec<String>,
    server_port: u16,
    etcd_port: u16,
    peer_port: u16,
    /// Numbers the log files: one for each start.
    starts: u32,
}

impl Parts {
    /// Nothing runs yet. `directory` exists; `arguments` are further ones of the API server.
    pub(super) fn new(built: Built, directory: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        std::fs::write(directory.join("audit-policy.yaml"), AUDIT_POLICY)?;
        Ok(Self {
            server: None,
            etcd: None,
            built,
            directory: directory.to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            server_port: free_port()?,
            etcd_port: free_port()?,
            peer_port: free_port()?,
            starts: 0,
        })
    }

    /// The API server's port.
    pub(super) fn server_port(&self) -> u16 {
        self.server_port
    }

    /// The file of the API server's certificate and then that of the authority that signed it.
    pub(super) fn certificates(&self) -> PathBuf {
        self.directory.join("certs/apiserver.crt")
    }

    /// The process of a part.
    pub(super) fn running(&mut self, part: Part) -> anyhow::Result<&mut Running> {
        let running = match part {
            Part::ApiServer => &mut self.server,
            Part::Etcd => &mut self.etcd,
        };
        running.as_mut().with_context(|| format!("{part:?} is stopped"))
    }

    /// Starts a part that is stopped. Waits until etcd answers; the API server's own readiness needs a token.
    pub(super) fn start(&mut self, part: Part) -> anyhow::Result<()> {
        if self.running(part).is_ok() {
            bail!("{part:?} runs already");
        }
        self.starts += 1;
        let (name, command) = match part {
            Part::ApiServer => ("apiserver", self.server_command()),
            Part::Etcd => ("etcd", self.etcd_command()),
        };
        let name = format!("{name}-{}", self.starts);
        let running = Running::spawn(&name, command, &self.directory, Stdio::null())?;
        match part {
            Part::ApiServer => self.server = Some(running),
            Part::Etcd => {
                self.etcd = Some(running);
                self.await_etcd()?;
            }
        }
        Ok(())
    }

    /// Sends `signal` and waits until the part has ended, which SIGKILL makes sure of after two seconds.
    pub(super) fn stop(&mut self, part: Part, signal: Signal) -> anyhow::Result<()> {
        let running = self.running(part)?;
        running.signal(signal)?;
        if running.wait(END_WITHIN).is_err() {
            running.kill()?;
        }
        match part {
            Part::ApiServer => self.server = None,
            Part::Etcd => self.etcd = None,
        }
        Ok(())
    }

    /// An error if a part that was started has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        for (part, running) in [("the API server", &mut self.server), ("etcd", &mut self.etcd)] {
            let Some(running) = running else { continue };
            if let Some(status) = running.ended()? {
                bail!("{part} has ended: {status}\n{}", running.stderr()?);
            }
        }
        Ok(())
    }

    fn await_etcd(&mut self) -> anyhow::Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.etcd_port));
        wait::until_true("etcd to be healthy", PATIENCE, || {
            self.check()?;
            Ok(admin::get(address, "/health").is_ok_and(|(status, _)| status == 200))
        })
    }

    fn etcd_command(&self) -> Command {
        let clients = format!("http://127.0.0.1:{}", self.etcd_port);
        let peers = format!("http://127.0.0.1:{}", self.peer_port);
        let mut command = Command::new(self.built.etcd());
        command.arg("--data-dir").arg(self.directory.join("etcd"));
        command.args([
            "--listen-client-urls",
            &clients,
            "--advertise-client-urls",
            &clients,
        ]);
        command.args([
            "--listen-peer-urls",
            &peers,
            "--initial-advertise-peer-urls",
            &peers,
        ]);
        command.args([
            "--initial-cluster",
            &format!("default={peers}"),
            "--log-level",
            "warn",
        ]);
        // Alone it elects itself, after this time; the default of a second is made for networks.
        command.args(["--heartbeat-interval", "20", "--election-timeout", "200"]);
        // What is written survives its own death; power cuts are tested elsewhere.
        command.arg("--unsafe-no-fsync");
        command
    }

    fn server_command(&self) -> Command {
        let file = |name: &str| self.directory.join(name);
        let mut command = Command::new(self.built.server());
        command.args(["--secure-port", &self.server_port.to_string()]);
        command.args(["--etcd-servers", &format!("http://127.0.0.1:{}", self.etcd_port)]);
        command.arg("--cert-dir").arg(file("certs"));
        command.arg("--token-auth-file").arg(file("tokens.csv"));
        command.arg("--authorization-file").arg(file("rules"));
        command.arg("--audit-policy-file").arg(file("audit-policy.yaml"));
        command.arg("--audit-log-path").arg(file("audit.log"));
        // Blocking: a line is in the file when its request has ended. A log of one file, at most 10 GB, is never
        // begun anew between a mark and what is counted from it.
        command.args(["--audit-log-mode", "blocking", "--audit-log-maxsize", "10000"]);
        command.args(&self.arguments);
        command
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        drop(self.server.take());
        drop(self.etcd.take());
    }
}

/// A port that nobody listens on.
fn free_port() -> anyhow::Result<u16> {
    let mut random = rand::rng();
    for _ in 0..100 {
        let port = random.random_range(PORTS);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port in {PORTS:?}")
}
