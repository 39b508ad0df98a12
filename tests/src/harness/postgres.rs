//! A private Postgres: a data directory of its own, started by an unprivileged user, on a Unix socket or on loopback.

use std::{
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use nix::{
    sys::signal::Signal,
    unistd::{Gid, Uid, User, chown},
};

use super::{PATIENCE, Running, Sandbox, wait};

/// Where Debian's packages put the programs, one directory for each version.
const PACKAGED: &str = "/usr/lib/postgresql";
/// The database that is made for tests.
const DATABASE: &str = "apollo";
/// How long a server may take for a fast shutdown when its handle is dropped.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// A server that may be running. Dropping it ends it.
pub struct Postgres {
    sandbox: Sandbox,
    programs: PathBuf,
    options: PostgresOptions,
    port: u16,
    running: Option<Running>,
}

/// How a server is set up.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Lines of `postgresql.conf`, such as `synchronous_commit = off`.
    pub settings: Vec<String>,
    /// Certificate and key (PEM) for TLS on `localhost`: the server listens on loopback then, else on a Unix socket.
    pub tls: Option<(PathBuf, PathBuf)>,
}

impl Postgres {
    /// Why there can be no Postgres on this machine; `None` if there can.
    pub fn missing() -> Option<String> {
        programs().err().map(|error| format!("{error:#}"))
    }

    /// A new server with an empty database.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(PostgresOptions::default())
    }

    /// The same with other settings.
    pub fn start_with(options: PostgresOptions) -> anyhow::Result<Self> {
        let sandbox = Sandbox::new()?;
        let programs = programs()?;
        // The server's user looks for its directory in here.
        std::fs::set_permissions(sandbox.path(), PermissionsExt::from_mode(0o755))?;
        let data = sandbox.join("data");
        std::fs::create_dir(&data)?;
        std::fs::set_permissions(&data, PermissionsExt::from_mode(0o700))?;
        let mut postgres = Self {
            sandbox,
            programs,
            options,
            // Part of the socket's name only, unless the server listens on loopback.
            port: 5432,
            running: None,
        };
        give_to_server(&data)?;
        postgres.initialize(&data)?;
        postgres.start_again()?;
        postgres.run("createdb", &[DATABASE])?;
        Ok(postgres)
    }

    fn initialize(&self, data: &Path) -> anyhow::Result<()> {
        let mut command = self.command("initdb")?;
        command.arg("-D").arg(data);
        // Nothing here has to survive this machine, so nothing waits for its disk.
        command.args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        Running::finish("initdb", command, self.sandbox.path(), None, PATIENCE)?.success()?;
        let mut settings = vec![
            "fsync = off".to_owned(),
            "shared_buffers = 32MB".to_owned(),
            format!("unix_socket_directories = '{}'", data.display()),
        ];
        match &self.options.tls {
            None => settings.push("listen_addresses = ''".to_owned()),
            Some((certificate, key)) => {
                for (from, name) in [(certificate, "server.crt"), (key, "server.key")] {
                    let to = data.join(name);
                    std::fs::copy(from, &to)?;
                    std::fs::set_permissions(&to, PermissionsExt::from_mode(0o600))?;
                    give_to_server(&to)?;
                }
                settings.extend(["listen_addresses = '127.0.0.1'".to_owned(), "ssl = on".to_owned()]);
            }
        }
        settings.extend(self.options.settings.iter().cloned());
        let file = data.join("postgresql.auto.conf");
        std::fs::write(&file, settings.join("\n") + "\n")?;
        give_to_server(&file)
    }

    /// Starts the server on its data, after a stop or a crash, and waits until it answers.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(self.running.is_none(), "Postgres is running");
        // Processes of a killed server may be there for a moment and keep the next one from starting.
        wait::until_true("Postgres to start", PATIENCE, || self.try_start())
    }

    fn try_start(&mut self) -> anyhow::Result<bool> {
        if self.options.tls.is_some() {
            self.port = free_port()?;
        }
        let mut command = self.command("postgres")?;
        command.arg("-D").arg(self.sandbox.join("data"));
        command.args(["-p", &self.port.to_string()]);
        let mut running = Running::spawn("postgres", command, self.sandbox.path(), Stdio::null())?;
        let answers = wait::until("Postgres to answer", PATIENCE, || {
            if running.ended()?.is_some() {
                return Ok(Some(false));
            }
            Ok(self
                .ask("psql", &["-d", "postgres", "-c", "SELECT 1"])?
                .then_some(true))
        })?;
        self.running = answers.then_some(running);
        Ok(answers)
    }

    /// Ends the server: SIGTERM waits for its clients, SIGINT does not, SIGKILL is a crash.
    pub fn stop(&mut self, signal: Signal) -> anyhow::Result<()> {
        let mut running = self.running.take().context("Postgres is not running")?;
        running.signal(signal)?;
        running.wait(PATIENCE)?;
        Ok(())
    }

    /// Runs SQL as its superuser: rows as lines, columns separated by `|`.
    pub fn psql(&self, sql: &str) -> anyhow::Result<String> {
        self.run("psql", &["-d", DATABASE, "-v", "ON_ERROR_STOP=1", "-qAtc", sql])
    }

    /// The URL of the test's database, for a user who may do everything.
    pub fn url(&self) -> String {
        if self.options.tls.is_some() {
            return format!("postgres://postgres@localhost:{}/{DATABASE}", self.port);
        }
        let directory = self.sandbox.join("data");
        format!(
            "postgres:///{DATABASE}?host={}&user=postgres&port={}",
            directory.display(),
            self.port
        )
    }

    fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.client(program, arguments)?.output()?;
        if !output.status.success() {
            bail!(
                "{program} {arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    fn ask(&self, program: &str, arguments: &[&str]) -> anyhow::Result<bool> {
        let mut command = self.client(program, arguments)?;
        let asked = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        Ok(asked.success())
    }

    /// A client program on the Unix socket.
    fn client(&self, program: &str, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = self.command(program)?;
        command.arg("-h").arg(self.sandbox.join("data"));
        command.args(["-U", "postgres", "-p", &self.port.to_string()]);
        command.args(arguments);
        Ok(command)
    }

    /// A program of Postgres as a user who is allowed to run it: not root.
    fn command(&self, program: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.sandbox.path()).env("LC_ALL", "C");
        if let Some((user, group)) = unprivileged()? {
            command.uid(user.as_raw()).gid(group.as_raw());
        }
        Ok(command)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            // Fast shutdown, so that it ends its processes and frees its shared memory; killed if it does not.
            let _unheard = running.signal(Signal::SIGINT);
            let _killed = running.wait(STOP_WITHIN);
        }
    }
}

/// The directory with `initdb` and `postgres` of the newest version.
fn programs() -> anyhow::Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(PACKAGED)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            let programs = path.join("bin");
            (programs.join("initdb").exists() && programs.join("postgres").exists())
                .then_some((version, programs))
        })
        .collect();
    found.sort();
    let (_, programs) = found
        .pop()
        .context("no Postgres (package postgresql): no initdb and postgres below /usr/lib/postgresql")?;
    Ok(programs)
}

/// Whom root runs Postgres as: its packaged user, or nobody. `None` if this is not root.
fn unprivileged() -> anyhow::Result<Option<(Uid, Gid)>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name)? {
            return Ok(Some((user.uid, user.gid)));
        }
    }
    bail!("Postgres does not run as root, and there is neither a user postgres nor nobody")
}

/// Makes the server's user the owner.
fn give_to_server(path: &Path) -> anyhow::Result<()> {
    if let Some((user, group)) = unprivileged()? {
        chown(path, Some(user), Some(group)).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
