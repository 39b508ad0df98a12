//! `cargo quickstart`: shows Apollo at work on this machine.

use std::process::ExitCode;

use apollo_tests::quickstart::{Narrator, run};
use clap::Parser;

/// Starts a gateway and a device on this machine, cuts the link between them, restores it, and counts what arrived.
#[derive(Parser)]
#[command(
    name = "apollo-quickstart",
    version,
    after_help = "Examples:
  cargo quickstart           show it, then keep it running until Ctrl-C
  cargo quickstart --once    show it and end; exit code 0 if every observation arrived exactly once, else 1"
)]
struct Arguments {
    /// End after the story instead of staying up
    #[arg(long)]
    once: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(!arguments.once, &mut Narrator::new()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("quickstart: {error:#}");
            ExitCode::FAILURE
        }
    }
}
