//! `apollo-agent`: parse, dispatch, exit code.

use std::process::ExitCode;

use apollo_agent::{cli::Cli, exit};
use clap::Parser;

fn main() -> ExitCode {
    exit::report(Cli::parse().command.run())
}
