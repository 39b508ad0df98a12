//! One module a command. A command returns [`Failure`] to say what went wrong and which exit code that is.

use crate::{cli::Command, exit::Failure};

pub mod apply;
pub mod crds;
pub mod delete;
pub mod get;
pub mod pki;
pub mod serve;
mod store_flag;

/// Carries out one command.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => serve::run(&args),
        Command::Apply(args) => apply::run(&args),
        Command::Delete(args) => delete::run(&args),
        Command::Get(args) => get::run(&args),
        Command::Crds(args) => crds::run(&args),
        Command::Pki(args) => pki::run(args),
    }
}
