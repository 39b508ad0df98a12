//! How fast observations go in: `observe --stdin` beside `sqlite3`'s own `.import` of the same rows into the same
//! schema with the same pragmas, and single `observe` calls beside the disk's own syncs. All in one run, alternating,
//! because disks have moods.
//!
//! `cargo bench -p apollo-agent --bench ingest [-- FILE.ndjson]`; fails if `observe --stdin` takes more than twice as
//! long as `.import`. Needs `sqlite3`.

use std::{
    env, fs,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

/// Rounds of each measurement; the median counts.
const ROUNDS: usize = 9;
/// Single calls and syncs in a row.
const SINGLES: u32 = 50;
/// `observe --stdin` may take this many times as long as `.import`.
const BOUND: f64 = 2.0;
const AGENT: &str = env!("CARGO_BIN_EXE_apollo-agent");

fn main() -> anyhow::Result<()> {
    // `cargo test --all-targets` runs this too, without `--bench`: there is nothing to test.
    if !env::args().any(|arg| arg == "--bench") {
        return Ok(());
    }
    let dir =
        tempfile::tempdir_in(env::var_os("CARGO_TARGET_TMPDIR").map_or_else(env::temp_dir, PathBuf::from))?;
    let lines = match env::args().skip(1).find(|arg| !arg.starts_with('-')) {
        Some(file) => fs::read(&file).with_context(|| format!("read {file}"))?,
        None => made_up_lines(10_000).into_bytes(),
    };
    let input = dir.path().join("lines.ndjson");
    fs::write(&input, lines)?;
    many(dir.path(), &input)?;
    singles(dir.path())
}

/// Lines like those of a supervisor's samples.
fn made_up_lines(count: u32) -> String {
    let line = |n: u32| {
        let (process, second, rss) = (n % 6, n % 60, 20_000 + n * 7 % 9_000);
        format!(
            "{{\"seq\":{n},\"process\":\"default/process-{process}\",\"observedAt\":\"2026-11-18T11:06:{second:02}.194Z\",\
             \"state\":\"Running\",\"specHash\":\"1818e811892f902b\",\"reason\":\"Sample\",\
             \"message\":\"running, rss={rss} KiB cpu=2.1%\"}}\n"
        )
    };
    (1..=count).map(line).collect()
}

fn many(dir: &Path, input: &Path) -> anyhow::Result<()> {
    let csv = dir.join("rows.csv");
    observe_lines(&dir.join("source"), input)?;
    let source = dir.join("source/agent.db");
    sqlite(
        &source,
        &format!(".mode csv\n.once {}\nSELECT * FROM observation;\n", csv.display()),
    )?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let data_dir = dir.join(format!("agent-{round}"));
        fresh_database(&data_dir)?;
        ours.push(observe_lines(&data_dir, input)?);
        let data_dir = dir.join(format!("import-{round}"));
        fresh_database(&data_dir)?;
        let script = format!(
            "PRAGMA synchronous=FULL;\n.mode csv\n.import {} observation\n",
            csv.display()
        );
        theirs.push(sqlite(&data_dir.join("agent.db"), &script)?);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!("observe --stdin  {ours:>10.1?}");
    println!("sqlite3 .import  {theirs:>10.1?}   ratio {ratio:.2}, at most {BOUND:.2}");
    ensure!(
        ratio <= BOUND,
        "observe --stdin takes {ratio:.2} times as long as .import"
    );
    Ok(())
}

fn singles(dir: &Path) -> anyhow::Result<()> {
    let data_dir = dir.join("single");
    fresh_database(&data_dir)?;
    let (mut observe, mut sync, mut version) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut log = File::create(dir.join("log"))?;
    for _ in 0..SINGLES {
        observe += timed(
            Command::new(AGENT)
                .args(["observe", "--process", "default/a"])
                .env("APOLLO_AGENT_DATA_DIR", &data_dir),
        )?;
        version += timed(Command::new(AGENT).arg("--version"))?;
        let started = Instant::now();
        log.write_all(&[0; 4096])?;
        log.sync_data()?;
        sync += started.elapsed();
    }
    let (observe, sync, version) = (observe / SINGLES, sync / SINGLES, version / SINGLES);
    println!("observe          {observe:>10.1?}   of which starting a process {version:.1?}");
    println!(
        "4 KiB + sync     {sync:>10.1?}   {:.0} per second",
        1.0 / sync.as_secs_f64()
    );
    Ok(())
}

/// A database with the schema and no rows, so that no measurement includes making it.
fn fresh_database(data_dir: &Path) -> anyhow::Result<()> {
    timed(Command::new(AGENT).arg("status").arg("--data-dir").arg(data_dir)).map(|_| ())
}

fn observe_lines(data_dir: &Path, input: &Path) -> anyhow::Result<Duration> {
    timed(
        Command::new(AGENT)
            .args(["observe", "--stdin", "--data-dir"])
            .arg(data_dir)
            .stdin(File::open(input)?),
    )
}

fn sqlite(database: &Path, script: &str) -> anyhow::Result<Duration> {
    let path = database.with_extension("script");
    fs::write(&path, script)?;
    timed(Command::new("sqlite3").arg(database).stdin(File::open(path)?))
}

fn timed(command: &mut Command) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let status = command
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("run {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(started.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
