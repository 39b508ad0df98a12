//! The story: work, the link goes dark, the queue grows, the link is back, the queue drains.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{
    Narrator,
    system::{DEVICE, System},
    verify,
};
use crate::harness::wait;

/// How long each part may take before the quickstart gives up. The slowest is the agent's next attempt after a dark
/// link, which waits for its backoff.
const WITHIN: Duration = Duration::from_secs(60);
/// Measurements an application on the device makes while the link is dark.
const MEASUREMENTS: u32 = 25;

pub(super) struct Story<'a> {
    pub(super) system: &'a System,
    pub(super) narrator: &'a mut Narrator,
}

impl Story<'_> {
    /// Tells it; returns whether every observation arrived exactly once.
    pub(super) fn tell(mut self) -> anyhow::Result<bool> {
        self.work()?;
        let last = self.dark()?;
        self.light(last)
    }

    fn work(&mut self) -> anyhow::Result<()> {
        self.narrator.step("The device fetches its work and does it")?;
        for (name, state) in [("collector", "Running"), ("calibrate", "Succeeded")] {
            self.until_state(name, state)?;
        }
        wait::until_true("the flaky process to crash", WITHIN, || {
            Ok(self.status("flaky")?["restarts"]
                .as_u64()
                .is_some_and(|restarts| restarts >= 1))
        })?;
        self.narrator
            .say("real processes, each with the state it reported over QUIC:")?;
        self.table()
    }

    /// Returns the last sequence that was queued in the dark.
    fn dark(&mut self) -> anyhow::Result<u64> {
        self.narrator.step("Cut the link")?;
        self.system.link.set_blackout(true);
        let before = self.system.agent.pending()?;
        let mut last = 0;
        for number in 0..MEASUREMENTS {
            let value = format!("temp_c={}", 4.0 + f64::from(number) / 10.0);
            let arguments = ["--reason", "Measured", "--value", value.as_str()];
            last = self.system.agent.observe("default/collector", &arguments)?;
        }
        let dropped_at_cut = self.system.link.stats().up.dark;
        wait::until_true("the agent to try the dark link", WITHIN, || {
            Ok(self.system.link.stats().up.dark > dropped_at_cut)
        })?;
        let after = self.system.agent.pending()?;
        self.narrator.say(&format!(
            "every datagram is lost now, but the device goes on: queue {before} -> {after}"
        ))?;
        let status = self.system.agent.run("status", &[], None)?;
        self.narrator.say("the agent says:")?;
        self.narrator.quote(&status.stdout)?;
        Ok(last)
    }

    fn light(&mut self, last: u64) -> anyhow::Result<bool> {
        self.narrator.step("Restore the link")?;
        let (restored, before) = (Instant::now(), self.system.link.stats());
        self.system.link.set_blackout(false);
        let instance = self.system.agent.instance()?;
        // The flaky process keeps adding; what was queued up to here is what must be gone.
        wait::until_true("the queue to drain", WITHIN, || {
            let queued = self
                .system
                .agent
                .run("queue", &["list", "--json"], None)?
                .success()?
                .json()?;
            let rows = queued.as_array().map(Vec::as_slice).unwrap_or_default();
            Ok(rows
                .iter()
                .all(|row| row["seq"].as_u64().is_some_and(|seq| seq > last)))
        })?;
        let (seconds, used) = (
            restored.elapsed().as_secs_f64(),
            self.system.link.stats() - before,
        );
        self.narrator.say(&format!(
            "drained in {seconds:.1} s with {} bytes on the link, both ways",
            used.ip_bytes()
        ))?;

        self.narrator.step("Count")?;
        let outcome = verify::exactly_once(&self.system.gateway.observations(DEVICE)?, &instance, last);
        self.narrator.outcome(outcome.is_good(), &outcome.to_string())?;
        self.table()?;
        Ok(outcome.is_good())
    }

    fn until_state(&self, name: &str, state: &str) -> anyhow::Result<()> {
        wait::until_true(&format!("{name} to be {state}"), WITHIN, || {
            Ok(self.status(name)?["state"] == state)
        })
    }

    fn status(&self, name: &str) -> anyhow::Result<Value> {
        Ok(self.system.gateway.device_process(name)?["status"].clone())
    }

    fn table(&mut self) -> anyhow::Result<()> {
        let table = self
            .system
            .gateway
            .run("get", &["deviceprocesses"], None)?
            .success()?;
        self.narrator.quote(&table.stdout)
    }
}
