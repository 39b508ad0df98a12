//! How a command ends: the exit codes scripts rely on, and the one place errors are printed.

use std::{error::Error, io, process::ExitCode};

use crate::queue::{AppendError, ExportError, OpenError, StorageError};

/// The exit codes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Not all of it could be done.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The gateway cannot be reached.
    Unreachable = 3,
    /// The database cannot be used.
    Storage = 4,
}

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The command line or the configuration is wrong; the text says what was expected.
    #[error("{0}")]
    Usage(String),
    /// It could not be done.
    #[error("{message}")]
    Failed {
        /// What could not be done.
        message: String,
        /// Why.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The gateway cannot be reached.
    #[error("{message}")]
    Unreachable {
        /// Which gateway, what was tried.
        message: String,
        /// Why.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database refused an operation.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Observations could not be stored.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The queue could not be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// Standard input failed.
    #[error("cannot read standard input")]
    Input(#[source] io::Error),
    /// Standard output failed.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
}

impl CommandError {
    /// The exit code that tells scripts which kind it is.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Append(AppendError::Defect { .. }) => Exit::Usage,
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Open(_)
            | Self::Storage(_)
            | Self::Append(AppendError::Storage(_))
            | Self::Export(ExportError::Storage(_)) => Exit::Storage,
            Self::Failed { .. } | Self::Input(_) | Self::Output(_) | Self::Export(ExportError::Output(_)) => {
                Exit::Failed
            }
        }
    }

    /// True if a reader of standard output went away, as `head` does: no failure of ours.
    fn is_closed_pipe(&self) -> bool {
        let (Self::Output(source) | Self::Export(ExportError::Output(source))) = self else {
            return false;
        };
        source.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Prints an error with its causes in one line on standard error, and gives the exit code.
pub fn report(result: Result<Exit, CommandError>) -> ExitCode {
    let exit = match result {
        Ok(exit) => exit,
        Err(error) if error.is_closed_pipe() => Exit::Ok,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            error.exit()
        }
    };
    ExitCode::from(exit as u8)
}

/// An error and its causes, joined by colons.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
