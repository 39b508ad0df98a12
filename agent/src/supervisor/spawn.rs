//! From a spec to a child process.

use std::{
    io::{self, PipeReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use apollo_wire::{ProcessRef, ProcessSpec};

/// Names the process to the child, and our children to us. With [`DATA_DIR_VARIABLE`] it lets a child call
/// `apollo-agent observe` without saying where the queue is.
pub(super) const PROCESS_VARIABLE: &str = "APOLLO_PROCESS";
/// The data directory: the variable that `apollo-agent` itself reads.
pub(super) const DATA_DIR_VARIABLE: &str = "APOLLO_AGENT_DATA_DIR";

/// Why a child could not be started. The text is the message of an observation, so it holds its cause.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpawnError {
    #[error("spec.command: expected a program as its first entry")]
    NoProgram,
    #[error("spec.workingDirectory {path:?} cannot be used")]
    WorkingDirectory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot start {program:?}")]
    Program {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot make a pipe for the output")]
    Output(#[source] io::Error),
}

impl SpawnError {
    /// Whether the same spec would be refused every time: no program in it, or more than the kernel takes as arguments
    /// and environment. A missing program or directory is not final, it may still be installed or mounted.
    pub(super) fn is_permanent(&self) -> bool {
        match self {
            Self::NoProgram => true,
            Self::Program { source, .. } => {
                matches!(
                    source.kind(),
                    io::ErrorKind::ArgumentListTooLong | io::ErrorKind::InvalidInput
                )
            }
            Self::WorkingDirectory { .. } | Self::Output(_) => false,
        }
    }

    /// The error and its cause in one line.
    pub(super) fn message(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}

/// Starts a child as the leader of a new process group, with no input and both outputs in one pipe.
pub(super) fn spawn(
    process: &ProcessRef,
    spec: &ProcessSpec,
    data_dir: &Path,
) -> Result<(Child, PipeReader), SpawnError> {
    let (program, leading) = spec.command.split_first().ok_or(SpawnError::NoProgram)?;
    let directory = data_dir.join(spec.working_directory.as_deref().unwrap_or_default());
    // Asked first, since the kernel gives the same error for a missing directory and a missing program.
    std::fs::read_dir(&directory).map_err(|source| SpawnError::WorkingDirectory {
        path: directory.clone(),
        source,
    })?;
    let (reader, writer) = io::pipe().map_err(SpawnError::Output)?;
    let child = Command::new(program)
        .args(leading)
        .args(&spec.args)
        .envs(spec.env.iter().map(|variable| (&variable.name, &variable.value)))
        .env(PROCESS_VARIABLE, process.as_str())
        .env(DATA_DIR_VARIABLE, data_dir)
        .current_dir(&directory)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().map_err(SpawnError::Output)?)
        .stderr(writer)
        .process_group(0)
        .spawn()
        .map_err(|source| SpawnError::Program {
            program: program.clone(),
            source,
        })?;
    Ok((child, reader))
}
