//! `apollo-agent` and its database.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::Context;
use serde_json::Value;

use super::{Finished, Identity, PATIENCE, Pki, Program, Running, Sandbox};

/// One device's agent: its data directory, its certificate, and where its gateway is.
pub struct Agent {
    logs: PathBuf,
    data: PathBuf,
    connection: Vec<String>,
    name: String,
}

impl Agent {
    /// An agent of `identity` with an empty data directory, which reaches its gateway at `gateway`.
    pub fn new(sandbox: &Sandbox, pki: &Pki, identity: &Identity, gateway: SocketAddr) -> Self {
        let path = |path: PathBuf| path.display().to_string();
        let connection = [
            ("--gateway", format!("https://{gateway}")),
            ("--ca", path(pki.ca())),
            ("--cert", path(identity.cert.clone())),
            ("--key", path(identity.key.clone())),
        ];
        Self {
            logs: sandbox.path().to_owned(),
            data: sandbox.join(&format!("agent-{}", identity.name)),
            connection: connection
                .into_iter()
                .flat_map(|(flag, value)| [flag.to_owned(), value])
                .collect(),
            name: identity.name.clone(),
        }
    }

    /// With another data directory. It need not exist: the agent makes it.
    #[must_use]
    pub fn with_data_dir(mut self, data: PathBuf) -> Self {
        self.data = data;
        self
    }

    /// The command line of a verb, for a test that starts it by itself: with the data directory, without a gateway.
    pub fn command_line(&self, verb: &str, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = self.command(verb)?;
        command.args(arguments);
        Ok(command)
    }

    /// As [`Agent::command_line`], for the verbs that sync.
    pub fn syncing_command_line(&self, verb: &str, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = self.command_line(verb, arguments)?;
        command.args(&self.connection);
        Ok(command)
    }

    /// The queue's database file.
    pub fn database(&self) -> PathBuf {
        self.data.join("agent.db")
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &std::path::Path {
        &self.data
    }

    /// Starts `run` with further arguments.
    pub fn start(&self, arguments: &[&str]) -> anyhow::Result<Running> {
        let mut command = self.command("run")?;
        command.args(&self.connection).args(arguments);
        Running::spawn(
            &format!("agent-{}", self.name),
            command,
            &self.logs,
            Stdio::null(),
        )
    }

    /// `sync --once`: one exchange, to its end.
    pub fn sync_once(&self) -> anyhow::Result<Finished> {
        let mut command = self.command("sync")?;
        command.arg("--once").args(&self.connection);
        Running::finish("sync", command, &self.logs, None, PATIENCE * 2)
    }

    /// `sync --once` towards an address where nobody answers.
    pub fn sync_unanswered(&self) -> anyhow::Result<Finished> {
        let silent = std::net::UdpSocket::bind("127.0.0.1:0")?;
        let url = format!("https://{}", silent.local_addr()?);
        let mut connection = self.connection.clone();
        if let Some(gateway) = connection.iter_mut().find(|word| word.starts_with("https://")) {
            *gateway = url;
        }
        let mut command = self.command("sync")?;
        command.arg("--once").args(connection);
        Running::finish("sync", command, &self.logs, None, PATIENCE * 2)
    }

    /// `observe` of one observation; returns the sequence it was stored under.
    pub fn observe(&self, process: &str, arguments: &[&str]) -> anyhow::Result<u64> {
        let all = [&["--process", process], arguments].concat();
        let done = self.run("observe", &all, None)?.success()?;
        let digits = done
            .stdout
            .split(|c: char| !c.is_ascii_digit())
            .find(|word| !word.is_empty());
        Ok(digits
            .with_context(|| format!("no sequence in {:?}", done.stdout))?
            .parse()?)
    }

    /// `observe --stdin` of NDJSON.
    pub fn observe_lines(&self, ndjson: &str) -> anyhow::Result<Finished> {
        self.run("observe", &["--stdin"], Some(ndjson.as_bytes()))
    }

    /// `queue stats --json`.
    pub fn queue_stats(&self) -> anyhow::Result<Value> {
        self.run("queue", &["stats", "--json"], None)?.success()?.json()
    }

    /// Rows waiting.
    pub fn pending(&self) -> anyhow::Result<u64> {
        self.queue_stats()?["rows"]
            .as_u64()
            .context("queue stats without rows")
    }

    /// The instance's id.
    pub fn instance(&self) -> anyhow::Result<String> {
        Ok(self.queue_stats()?["instance"]
            .as_str()
            .context("queue stats without instance")?
            .to_owned())
    }

    /// A command that works on the database alone.
    pub fn run(&self, verb: &str, arguments: &[&str], stdin: Option<&[u8]>) -> anyhow::Result<Finished> {
        let mut command = self.command(verb)?;
        command.args(arguments);
        Running::finish(&format!("agent-{verb}"), command, &self.logs, stdin, PATIENCE * 2)
    }

    fn command(&self, verb: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(Program::Agent.path()?);
        command.arg(verb);
        // `queue` has verbs of its own; the data directory is an option of all of them.
        command.env("APOLLO_AGENT_DATA_DIR", &self.data);
        Ok(command)
    }
}
