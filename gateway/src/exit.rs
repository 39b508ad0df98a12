//! How a command ends: the exit codes of both programs (docs/cli.md).

use std::process::ExitCode;

/// Why a command did not do what it was asked. The variant is the exit code, the error the line on stderr.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Anything that is none of the others: exit code 1.
    #[error(transparent)]
    Failed(anyhow::Error),
    /// Wrong flags, arguments or configuration: exit code 2.
    #[error(transparent)]
    Usage(anyhow::Error),
    /// The other side cannot be reached: exit code 3.
    #[error(transparent)]
    Unreachable(anyhow::Error),
    /// The store cannot be used: exit code 4.
    #[error(transparent)]
    Storage(anyhow::Error),
}

impl Failure {
    /// The process's exit code.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Storage(_) => 4,
        })
    }

    /// One line for stderr: the error and all that caused it.
    pub fn line(&self) -> String {
        match self {
            Self::Failed(error) | Self::Usage(error) | Self::Unreachable(error) | Self::Storage(error) => {
                format!("{error:#}")
            }
        }
    }
}
