//! The command line of `apollo-agent`: subcommands, and the options several of them share.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand};

use crate::{
    commands::{desired, observe, queue, run, status, sync},
    exit::{CommandError, Exit},
    queue::{OpenError, Queue, QueueLimits},
};

/// Where the data is unless told otherwise: the working directory, so that a first try needs no rights.
pub const DEFAULT_DATA_DIR: &str = "./apollo-agent";

/// Runs this device's processes, queues what they do, and syncs it with a gateway when the link allows.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 gateway unreachable, 4 storage.\n\n\
                  The queue is an SQLite file; look at it with: sqlite3 DIR/agent.db 'select * from queue'"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent: sync, and supervise the desired processes
    Run(run::RunArgs),
    /// Store observations in the queue
    Observe(observe::ObserveArgs),
    /// Look at and tend the queue
    Queue(queue::QueueArgs),
    /// Show the last desired state this device fetched
    Desired(desired::DesiredArgs),
    /// Say in one line how syncing goes
    Status(status::StatusArgs),
    /// Exchange with the gateway now
    Sync(sync::SyncArgs),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// Whatever stopped the command; [`CommandError::exit`] has the exit code.
    pub fn run(self) -> Result<Exit, CommandError> {
        match self {
            Self::Run(args) => run::run(args),
            Self::Observe(args) => observe::run(args),
            Self::Queue(args) => queue::run(args),
            Self::Desired(args) => desired::run(&args),
            Self::Status(args) => status::run(&args),
            Self::Sync(args) => sync::run(args),
        }
    }
}

/// Which database.
#[derive(Debug, Clone, Args)]
pub struct DataDirArgs {
    /// Directory of the queue database `agent.db`; made if missing
    #[arg(long, value_name = "DIR", env = "APOLLO_AGENT_DATA_DIR", default_value = DEFAULT_DATA_DIR, global = true)]
    pub data_dir: PathBuf,
}

/// How much the queue may hold.
#[derive(Debug, Clone, Args)]
pub struct QueueLimitArgs {
    /// Most observations the queue holds; the oldest make room and leave a gap record
    #[arg(long, value_name = "N", env = "APOLLO_AGENT_QUEUE_MAX_ROWS", default_value_t = QueueLimits::default().max_rows,
          value_parser = clap::value_parser!(u64).range(1..), global = true)]
    pub queue_max_rows: u64,
    /// Most bytes of observations the queue holds, such as 64MiB
    #[arg(long, value_name = "SIZE", env = "APOLLO_AGENT_QUEUE_MAX_BYTES",
          default_value_t = ByteSize::b(QueueLimits::default().max_bytes), global = true)]
    pub queue_max_bytes: ByteSize,
}

impl DataDirArgs {
    /// Opens the queue with the default limits, for commands that do not grow it.
    ///
    /// # Errors
    /// As [`Queue::open`].
    pub fn open(&self) -> Result<Queue, OpenError> {
        Queue::open(&self.data_dir, QueueLimits::default())
    }
}

impl QueueLimitArgs {
    /// The limits as the queue takes them.
    pub fn limits(&self) -> QueueLimits {
        QueueLimits {
            max_rows: self.queue_max_rows,
            max_bytes: self.queue_max_bytes.as_u64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
