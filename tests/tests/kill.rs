//! SIGKILL at random moments, agent and gateway, 50 times each, while a queue drains over a link that loses and
//! duplicates: nothing lost, nothing twice, no status backwards.
//!
//! `APOLLO_SEED=N` replays the choices of a failed run.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use apollo_tests::{
    harness::{Agent, Gateway, GatewayOptions, Pki, Running, Sandbox, wait},
    linksim::{Config, LinkSim},
    workload,
};
use apollo_wire::UnixMillis;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

const DEVICE: &str = "buoy-17";
/// Kills of each program.
const KILLS: usize = 50;
/// Observations queued before each kill: with the link's rate, about as much as drains between two kills.
const ADDED_PER_ROUND: u32 = 600;
/// Slow enough that a drain goes on for most of the time between kills, fast enough that a handshake (4.5 kB) does not
/// take all of it.
const RATE_KBIT: u32 = 256;
/// Observations queued before the first start.
const ADDED_AT_FIRST: u32 = 2_000;
/// How long a program lives after the other one's death before the next kill, milliseconds: from before it has
/// connected to several exchanges later.
const LIFE_MS: std::ops::Range<u64> = 5..800;
/// How long the last drain may take: the agent's backoff cap is the largest part.
const LAST_DRAIN: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Agent,
    Gateway,
}

struct Scene {
    sandbox: Sandbox,
    pki: Pki,
    options: GatewayOptions,
    link: LinkSim,
    agent: Agent,
    gateway: Option<Gateway>,
    running: Option<Running>,
    queued: u64,
    /// The highest (epoch, sequence) each status has shown.
    shown: BTreeMap<String, (u64, u64)>,
}

#[test]
fn kill_9_of_agent_and_gateway_at_random_moments_loses_nothing_and_repeats_nothing() -> Result<()> {
    let seed = match std::env::var("APOLLO_SEED") {
        Ok(seed) => seed.parse()?,
        Err(_) => rand::random(),
    };
    play(seed)
        .with_context(|| format!("replay with: APOLLO_SEED={seed} cargo test -p apollo-tests --test kill"))
}

fn play(seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut victims = [[Victim::Agent; KILLS], [Victim::Gateway; KILLS]].concat();
    victims.shuffle(&mut rng);
    let mut scene = Scene::new(seed)?;
    scene.queue(&mut rng, ADDED_AT_FIRST)?;
    let mut while_draining = 0;
    for victim in victims {
        scene.start_what_is_dead()?;
        scene.queue(&mut rng, ADDED_PER_ROUND)?;
        // The passing of time is the subject: the kill comes at a random moment of whatever is going on.
        wait::pause(Duration::from_millis(rng.random_range(LIFE_MS)));
        while_draining += usize::from(scene.agent.pending()? > 0);
        scene.kill(victim)?;
        scene.no_status_moved_backwards()?;
    }
    // Else the test shows less than it says.
    ensure!(
        while_draining >= KILLS,
        "only {while_draining} of {} kills hit a drain",
        2 * KILLS
    );
    scene.drain()?;
    println!(
        "{while_draining} of {} kills hit a drain; the link: {:?}",
        2 * KILLS,
        scene.link.stats()
    );
    scene.everything_arrived_once()
}

impl Scene {
    fn new(seed: u64) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let pki = Pki::new(&sandbox)?;
        let gateway = Gateway::spawn(&sandbox, &pki, &GatewayOptions::default())?;
        // A killed gateway comes back where agents look for it.
        let options = GatewayOptions {
            listen: gateway.udp(),
            ..GatewayOptions::default()
        };
        // Suspended, so that the agent supervises nothing that would survive it.
        let observed = workload::generate(seed, 500, UnixMillis::new(0)?)?;
        let objects = workload::device_processes(&observed, DEVICE);
        gateway.apply(&objects.replace("infinity]}", "infinity], suspend: true}"))?;
        let link = LinkSim::start(Config {
            delay: Duration::from_millis(5),
            loss: 0.02,
            dup: 0.2,
            rate_kbit: Some(RATE_KBIT),
            seed,
            ..Config::new(gateway.udp())
        })?;
        let agent = Agent::new(&sandbox, &pki, &pki.device(DEVICE)?, link.local_addr());
        let (gateway, running, shown) = (Some(gateway), None, BTreeMap::new());
        Ok(Self {
            sandbox,
            pki,
            options,
            link,
            agent,
            gateway,
            running,
            queued: 0,
            shown,
        })
    }

    fn start_what_is_dead(&mut self) -> Result<()> {
        if self.gateway.is_none() {
            self.gateway = Some(Gateway::spawn(&self.sandbox, &self.pki, &self.options)?);
        }
        if self.running.is_none() {
            self.running = Some(
                self.agent
                    .start(&["--sync-interval", "1s", "--heartbeat", "1s"])?,
            );
        }
        Ok(())
    }

    fn queue(&mut self, rng: &mut StdRng, count: u32) -> Result<()> {
        let now = UnixMillis::new(jiff::Timestamp::now().as_millisecond())?;
        let observations = workload::generate(rng.random(), count, now)?;
        self.agent
            .observe_lines(&workload::ndjson(&observations)?)?
            .success()?;
        self.queued += u64::from(count);
        Ok(())
    }

    fn kill(&mut self, victim: Victim) -> Result<()> {
        let killed = match victim {
            Victim::Agent => self.running.take(),
            Victim::Gateway => self.gateway.take().map(|gateway| gateway.process),
        };
        killed.context("nothing to kill")?.kill()
    }

    /// Reads the statuses from the store, whether the gateway runs or not.
    fn no_status_moved_backwards(&mut self) -> Result<()> {
        for (name, now) in self.statuses()? {
            let before = self.shown.insert(name.clone(), now);
            ensure!(
                before.is_none_or(|before| before <= now),
                "{name} went from {before:?} to {now:?}"
            );
        }
        Ok(())
    }

    fn statuses(&self) -> Result<BTreeMap<String, (u64, u64)>> {
        let store = format!("embedded:{}", self.sandbox.join(&self.options.store).display());
        let listed = Gateway::on_store(
            &store,
            self.sandbox.path(),
            &["get", "deviceprocesses", "-o", "json"],
        )?;
        let items = listed["items"].as_array().cloned().context("no items")?;
        let part = |item: &serde_json::Value, key: &str| item["status"]["sync"][key].as_u64().unwrap_or(0);
        let name = |item: &serde_json::Value| item["metadata"]["name"].to_string();
        Ok(items
            .iter()
            .map(|item| (name(item), (part(item, "epoch"), part(item, "sequence"))))
            .collect())
    }

    fn drain(&mut self) -> Result<()> {
        self.start_what_is_dead()?;
        self.link.set_loss(0.0);
        wait::until_true("the last drain", LAST_DRAIN, || Ok(self.agent.pending()? == 0))
    }

    fn everything_arrived_once(&mut self) -> Result<()> {
        self.no_status_moved_backwards()?;
        let stats = self.agent.queue_stats()?;
        ensure!(stats["dead"] == 0 && stats["gaps"] == 0, "{stats}");
        let instance = stats["instance"].as_str().context("no instance")?.to_owned();
        let gateway = self.gateway.as_ref().context("no gateway")?;
        let stored = gateway.observations(DEVICE)?;
        let sequences: BTreeSet<u64> = stored
            .iter()
            .filter(|o| o["instance"] == *instance)
            .filter_map(|o| o["seq"].as_u64())
            .collect();
        ensure!(
            sequences.len() == stored.len(),
            "{} observations, {} different",
            stored.len(),
            sequences.len()
        );
        let last = sequences.last().copied().unwrap_or(0);
        // The agent adds its own about the suspended processes; rows are numbered without holes.
        ensure!(
            last >= self.queued,
            "queued {}, highest stored {last}",
            self.queued
        );
        let missing: Vec<u64> = (1..=last).filter(|seq| !sequences.contains(seq)).collect();
        ensure!(missing.is_empty(), "lost: {missing:?}");

        // Each status is the maximum of its history.
        for (name, (_, sequence)) in self.statuses()? {
            let process = format!("default/{}", name.trim_matches('"'));
            let of_process = stored
                .iter()
                .filter(|o| o["process"] == *process && o["state"].is_string());
            let highest = of_process.filter_map(|o| o["seq"].as_u64()).max();
            ensure!(
                highest == Some(sequence),
                "{process} shows {sequence}, its history goes to {highest:?}"
            );
        }
        Ok(())
    }
}
