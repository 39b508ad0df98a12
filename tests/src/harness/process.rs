//! A program running in the background, and one that ran to its end.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::wait;

/// How much of a program's output an error message shows.
const TAIL_LINES: usize = 20;

/// How long a program that has processes of its own may take to end them when its handle is dropped.
const END_CHILDREN_WITHIN: Duration = Duration::from_secs(8);

/// A program in the background. Dropping it kills it with SIGKILL.
pub struct Running {
    child: Child,
    name: String,
    stdout: PathBuf,
    stderr: PathBuf,
    ends_children: bool,
}

/// A program that ran to its end.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed on stdout.
    pub stdout: String,
    /// What it printed on stderr.
    pub stderr: String,
}

impl Running {
    /// Starts `command` with its output in files in `logs`, which `name` names.
    pub fn spawn(name: &str, mut command: Command, logs: &Path, stdin: Stdio) -> anyhow::Result<Self> {
        let (stdout, stderr) = (logs.join(format!("{name}.out")), logs.join(format!("{name}.err")));
        let open = |path: &Path| File::create(path).with_context(|| format!("create {}", path.display()));
        let child = command
            .stdin(stdin)
            .stdout(open(&stdout)?)
            .stderr(open(&stderr)?)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Self {
            child,
            name: name.to_owned(),
            stdout,
            stderr,
            ends_children: false,
        })
    }

    /// Makes dropping it try SIGTERM first, so that it can end the processes it has started itself.
    #[must_use]
    pub fn ending_its_children(mut self) -> Self {
        self.ends_children = true;
        self
    }

    /// Runs `command` to its end, at most `within`; `stdin` is what it reads.
    pub fn finish(
        name: &str,
        command: Command,
        logs: &Path,
        stdin: Option<&[u8]>,
        within: Duration,
    ) -> anyhow::Result<Finished> {
        let stdin = match stdin {
            None => Stdio::null(),
            Some(bytes) => {
                // A file, not a pipe: nothing has to be fed while the program runs.
                let path = logs.join(format!("{name}.in"));
                std::fs::write(&path, bytes)?;
                File::open(&path)?.into()
            }
        };
        let mut running = Self::spawn(name, command, logs, stdin)?;
        let status = running.wait(within)?;
        Ok(Finished {
            code: status.code(),
            stdout: running.stdout()?,
            stderr: running.stderr()?,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed on stdout so far.
    pub fn stdout(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.stdout)?).into_owned())
    }

    /// What it has printed on stderr so far.
    pub fn stderr(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.stderr)?).into_owned())
    }

    /// Waits for a line on stdout that starts with `start`; an error if the program ends first.
    pub fn line_starting(&mut self, start: &str, within: Duration) -> anyhow::Result<String> {
        let what = format!("{} to print {start:?}", self.name);
        wait::until(&what, within, || {
            let ended = self.child.try_wait()?;
            let out = self.stdout()?;
            // Only a complete line counts: the program may be in the middle of writing it.
            let complete = out.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let found = complete
                .map(str::trim_end)
                .find(|line| line.starts_with(start))
                .map(str::to_owned);
            match (&found, ended) {
                (None, Some(status)) => bail!("{} ended early: {status}\n{}", self.name, self.tail()),
                _ => Ok(found),
            }
        })
        .with_context(|| self.tail())
    }

    /// Waits for its end.
    pub fn wait(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let what = format!("{} to end", self.name);
        wait::until(&what, within, || Ok(self.child.try_wait()?)).with_context(|| self.tail())
    }

    /// The exit status if it has ended.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// SIGTERM, then waits for the end.
    pub fn terminate(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(within)
    }

    /// SIGKILL, then reaps it. Nothing happens if it has ended already.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_none() {
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(())
    }

    /// Sends a signal to it and to nothing else.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        // An ended child is not signalled: its id may belong to somebody else by now.
        ensure!(
            self.child.try_wait()?.is_none(),
            "{} has ended already\n{}",
            self.name,
            self.tail()
        );
        Ok(kill(Pid::from_raw(i32::try_from(self.pid())?), signal)?)
    }

    /// Its resident memory, bytes (VmRSS of proc(5)).
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }

    /// The end of its output, for error messages.
    fn tail(&self) -> String {
        let last = |text: anyhow::Result<String>| {
            let text = text.unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines
                .iter()
                .skip(lines.len().saturating_sub(TAIL_LINES))
                .fold(String::new(), |all, line| all + line + "\n")
        };
        format!(
            "{}\n--- stdout\n{}--- stderr\n{}",
            self.name,
            last(self.stdout()),
            last(self.stderr())
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ends_children {
            drop(self.terminate(END_CHILDREN_WITHIN));
        }
        drop(self.kill());
    }
}

impl Finished {
    /// Itself if the exit code was 0, else an error with what it printed.
    pub fn success(self) -> anyhow::Result<Self> {
        self.exited(0)
    }

    /// Itself if the exit code was `code`, else an error with what it printed.
    pub fn exited(self, code: i32) -> anyhow::Result<Self> {
        ensure!(
            self.code == Some(code),
            "expected exit code {code}, not {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.code,
            self.stdout,
            self.stderr
        );
        Ok(self)
    }

    /// Its stdout as JSON.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("not JSON: {self:?}"))
    }
}
