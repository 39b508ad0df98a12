//! Many histories, for nights.

use std::{
    io::Write,
    ops::Range,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use serde::Serialize;

use super::one::hours;
use crate::{checkers::Violation, counters::Counters, plan::generate, run, sabotage::Sabotage};

/// A line of progress for each so many seeds.
const PROGRESS_EVERY: u64 = 1_000;
/// Most violations that are told one by one.
const TOLD_MAX: usize = 100;

/// What came of them all.
#[derive(Debug, Default)]
struct Sum {
    seeds: u64,
    length_ms: u64,
    counters: Counters,
    violations: Vec<(u64, Violation)>,
}

/// The summary as JSON.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    seeds: u64,
    simulated_hours: f64,
    exchanges: u64,
    violations: Vec<u64>,
    never_met: Vec<&'a str>,
    counters: std::collections::BTreeMap<&'a str, u64>,
}

/// Runs the seeds and prints a summary.
#[expect(clippy::print_stdout, reason = "a command line program")]
pub(super) fn run(seeds: Range<u64>, jobs: usize, json: bool) -> anyhow::Result<ExitCode> {
    let next = AtomicU64::new(seeds.start);
    let sum = Mutex::new(Sum::default());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| work(&next, seeds.end, &sum, began));
        }
    });
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    let exchanges =
        sum.counters.get("agent: exchange failed") + sum.counters.get("agent: exchange succeeded");
    let summary = Summary {
        seeds: sum.seeds,
        simulated_hours: hours(sum.length_ms),
        exchanges,
        violations: sum.violations.iter().map(|(seed, _)| *seed).collect(),
        never_met: sum.counters.never_met(),
        counters: sum.counters.iter().collect(),
    };
    if json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        for (what, count) in sum.counters.iter() {
            println!("{count:>12}  {what}");
        }
        println!(
            "{} seeds, {:.0} simulated hours, {exchanges} exchanges, {} violations in {:.0} s",
            sum.seeds,
            summary.simulated_hours,
            sum.violations.len(),
            began.elapsed().as_secs_f64()
        );
        for what in &summary.never_met {
            println!("never met: {what}");
        }
    }
    Ok(if sum.violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn work(next: &AtomicU64, end: u64, sum: &Mutex<Sum>, began: Instant) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        let outcome = run::run(&generate(seed), Sabotage::None);
        let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.seeds += 1;
        sum.length_ms += outcome.length_ms;
        sum.counters.merge(&outcome.counters);
        // Progress is for whoever watches; nobody may.
        let mut out = std::io::stderr().lock();
        if let Some(violation) = outcome.violation {
            if sum.violations.len() < TOLD_MAX {
                let _ = writeln!(out, "seed {seed}: VIOLATION of {violation}");
            }
            sum.violations.push((seed, violation));
        }
        if sum.seeds.is_multiple_of(PROGRESS_EVERY) {
            let _ = writeln!(
                out,
                "{} seeds, {:.0} hours, {} violations, {:.0} s",
                sum.seeds,
                hours(sum.length_ms),
                sum.violations.len(),
                began.elapsed().as_secs_f64()
            );
        }
    }
}
