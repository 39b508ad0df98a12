//! what a full queue has to drop is told, not hidden. R-10: a device restored from an old image is noticed, and
//! what it has to say is kept.

use anyhow::{Context, Result, ensure};
use apollo_tests::{
    harness::{Agent, World},
    workload,
};
use apollo_wire::{InstanceId, UnixMillis};
use serde_json::{Value, json};

fn lines(count: u32) -> Result<String> {
    let now = UnixMillis::new(jiff::Timestamp::now().as_millisecond())?;
    workload::ndjson(&workload::generate(1, count, now)?)
}

/// Everything a view of a database holds, as the `sqlite3` program would show it to a person.
fn view(database: &std::path::Path, select: &str) -> Result<Vec<(i64, i64, String)>> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(database, flags)?;
    let mut statement = database.prepare(select)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[test]
fn what_a_full_queue_drops_is_a_gap_that_reaches_the_gateway() -> Result<()> {
    let world = World::new(&[])?;
    let agent = world.agent("buoy-17")?;
    let limited = ["--stdin", "--queue-max-rows", "10"];
    agent
        .run("observe", &limited, Some(lines(30)?.as_bytes()))?
        .success()?;
    let gaps = agent.run("queue", &["gaps", "--json"], None)?.success()?.json()?;
    ensure!(
        !gaps.as_array().context("not an array")?.is_empty(),
        "dropped silently"
    );
    let kept = agent.pending()?;
    ensure!(kept <= 10, "{kept} rows");

    agent.sync_once()?.success()?;
    let stored = world.gateway.observations("buoy-17")?;
    assert_eq!(stored.len() as u64, kept);
    let gaps = view(
        &world.sandbox.join("gateway.db"),
        "select first, last, reason from gaps order by first",
    )?;
    let lost: i64 = gaps.iter().map(|(first, last, _)| last - first + 1).sum();
    assert_eq!(
        u64::try_from(lost)? + kept,
        30,
        "each of the 30 is either stored or named in a gap: {gaps:?}"
    );
    ensure!(
        gaps.iter().all(|(_, _, reason)| reason == "QueueFull"),
        "{gaps:?}"
    );
    assert_eq!(
        world.gateway.device("buoy-17")?["status"]["queue"]["dropped"],
        lost
    );
    // Delivered gaps are not sent again.
    assert_eq!(agent.queue_stats()?["gaps"], 0);
    Ok(())
}

fn observe(agent: &Agent, message: &str) -> Result<u64> {
    agent.observe("default/collector", &["--message", message, "--state", "Running"])
}

/// A device restored from an image with "a" and "b", none of them sent, after its first life has delivered "a" to "d".
fn restored() -> Result<(World, Agent)> {
    let world = World::new(&[])?;
    world.bind("collector", "buoy-17")?;
    let agent = world.agent("buoy-17")?;
    for message in ["a", "b"] {
        observe(&agent, message)?;
    }
    let image = world.sandbox.join("image");
    copy(agent.data_dir(), &image)?;
    for message in ["c", "d"] {
        observe(&agent, message)?;
    }
    agent.sync_once()?.success()?;
    let first = agent.instance()?;
    std::fs::remove_dir_all(agent.data_dir())?;
    copy(&image, agent.data_dir())?;
    assert_eq!(agent.instance()?, first, "the image is of the same instance");
    Ok((world, agent))
}

#[test]
fn a_device_restored_from_an_old_image_becomes_a_new_instance_and_loses_nothing() -> Result<()> {
    let (world, agent) = restored()?;
    let first = agent.instance()?;
    observe(&agent, "e")?;
    // What it reports next is below what the gateway has settled: one exchange to learn it, one to say it again.
    for _ in 0..2 {
        agent.sync_once()?;
    }
    let second = agent.instance()?;
    assert_ne!(second, first);
    second.parse::<InstanceId>()?;
    assert_eq!(agent.pending()?, 0);

    let stored = world.gateway.observations("buoy-17")?;
    let of = |instance: &str| -> Vec<Value> {
        stored
            .iter()
            .filter(|o| o["instance"] == instance)
            .map(|o| o["message"].clone())
            .collect()
    };
    assert_eq!(of(&first), ["a", "b", "c", "d"].map(Value::from));
    ensure!(
        of(&second).contains(&json!("e")),
        "what was seen after the restore is lost: {stored:#?}"
    );
    let instances = world.gateway.device("buoy-17")?["status"]["instances"].clone();
    assert_eq!(instances.as_array().map(Vec::len), Some(2), "{instances}");
    // The later life wins, although its sequences are lower.
    let status = world.status("collector")?;
    assert_eq!(
        (&status["sync"]["epoch"], &status["message"]),
        (&json!(2), &json!("e"))
    );
    Ok(())
}

#[test]
fn a_restored_device_whose_first_report_is_never_answered_loses_nothing() -> Result<()> {
    let (world, agent) = restored()?;
    let first = agent.instance()?;
    // Counts past what the gateway knows, and has offered it all before the gateway hears of it: only what the
    // observations say gives the copy away.
    for message in ["e", "f", "g"] {
        observe(&agent, message)?;
    }
    ensure!(
        agent.sync_unanswered()?.code == Some(3),
        "nobody was there to answer"
    );
    for _ in 0..2 {
        agent.sync_once()?;
    }
    assert_eq!(agent.pending()?, 0);
    let stored = world.gateway.observations("buoy-17")?;
    let messages = |keep: &dyn Fn(&Value) -> bool| -> Vec<Value> {
        stored
            .iter()
            .filter(|o| keep(&o["instance"]))
            .map(|o| o["message"].clone())
            .collect()
    };
    assert_eq!(
        messages(&|of| *of == first.as_str()),
        ["a", "b", "c", "d"].map(Value::from)
    );
    let later = messages(&|of| *of != first.as_str());
    ensure!(
        ["e", "f", "g"].iter().all(|seen| later.contains(&json!(seen))),
        "lost: {stored:#?}"
    );
    Ok(())
}

fn copy(from: &std::path::Path, to: &std::path::Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
