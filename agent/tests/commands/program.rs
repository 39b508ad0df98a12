//! Running `apollo-agent`.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A data directory of its own, not made yet.
pub(crate) struct Device {
    dir: TempDir,
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Device {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn data_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.data_dir().join("agent.db")).unwrap()
    }

    /// Holds the lock that a running agent holds.
    pub(crate) fn pretend_to_run(&self) -> std::fs::File {
        let lock = std::fs::File::create(self.data_dir().join("run.lock")).unwrap();
        lock.try_lock().unwrap();
        lock
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apollo-agent"));
        command.args(args).env("APOLLO_AGENT_DATA_DIR", self.data_dir());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        ended(self.command(args).output().unwrap())
    }

    /// Runs with text on standard input.
    pub(crate) fn feed(&self, args: &[&str], input: &[u8]) -> Ended {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // A command that ends early closes the pipe; its exit code tells.
            scope.spawn(move || drop(stdin.write_all(input)));
            ended(child.wait_with_output().unwrap())
        })
    }

    /// Standard output of a command that has to succeed, as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let ended = self.run(args);
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap()
    }
}

fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
