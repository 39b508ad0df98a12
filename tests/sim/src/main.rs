//! `apollo-sim`: runs simulated histories and replays those that fail.

use std::process::ExitCode;

use apollo_sim::command::{self, Args};
use clap::Parser;

fn main() -> anyhow::Result<ExitCode> {
    command::run(&Args::parse())
}
