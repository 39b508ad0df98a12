//! The program's command line.

mod many;
mod one;

use std::{ops::Range, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::Parser;

use crate::plan::{Plan, generate};

const EXAMPLES: &str = "\
Examples:
  apollo-sim --seed 42                  run one history and say what came of it
  apollo-sim --seed 42 --trace          the same, line by line
  apollo-sim --seed 42 --shrink         find the shortest plan that still breaks the rule, and show it
  apollo-sim --plan regressions/x.json --trace
  apollo-sim --seeds 0..100000 --json   a night's work; one object at the end

Exit code: 0 if no rule was broken, 1 otherwise.";

/// Deterministic simulation of agents, gateways, links, disks and clocks.
#[derive(Debug, Parser)]
#[command(name = "apollo-sim", after_help = EXAMPLES)]
pub struct Args {
    /// Run the history of this seed.
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "plan"])]
    seed: Option<u64>,
    /// Run the history of a plan in a JSON file.
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    plan: Option<PathBuf>,
    /// Run the histories of these seeds, the last one not included.
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Option<Range<u64>>,
    /// Print what happens.
    #[arg(long)]
    trace: bool,
    /// Make a failing plan small, print it as JSON, and print its trace.
    #[arg(long)]
    shrink: bool,
    /// Run so many seeds at once.
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Print the summary of many seeds as JSON.
    #[arg(long)]
    json: bool,
}

/// Does what the arguments say.
///
/// # Errors
/// Arguments that say nothing, a plan that cannot be read.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match (&args.seed, &args.plan, &args.seeds) {
        (Some(seed), _, _) => one::run(&generate(*seed), args.trace, args.shrink),
        (_, Some(path), _) => {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let plan: Plan = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
            one::run(&plan, args.trace, args.shrink)
        }
        (_, _, Some(seeds)) => many::run(seeds.clone(), args.jobs.max(1), args.json),
        _ => bail!("nothing to run: see --help"),
    }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let expected = || format!("expected A..B with two numbers, not {text:?}");
    let (first, end) = text.split_once("..").ok_or_else(expected)?;
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| expected());
    Ok(number(first)?..number(end)?)
}
