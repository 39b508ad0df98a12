//! `apollo-gateway`: parses the command line, sets up logging, runs one command, and turns its end into an exit code.

use std::process::ExitCode;

use apollo_gateway::{cli::Cli, commands, telemetry};
use clap::Parser;

fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::init(cli.log_format);
    match commands::run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.line());
            failure.code()
        }
    }
}
