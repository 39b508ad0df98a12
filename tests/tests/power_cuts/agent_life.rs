//! One device through several power cuts: an agent on a disk of its own, which drains into a gateway that stays up.
//! After each cut the disk is looked at, at the end everything has to be in the gateway's history exactly once.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result, anyhow};
use apollo_power::{Cut, Disk, Syncs};
use apollo_tests::{
    harness::{Agent, Device, PATIENCE, World, wait},
    workload,
};
use rand::{Rng, rngs::StdRng};

use crate::{
    agent_scenes::Scene,
    agent_survivor::{Desired, Gone, Seen, generation, sequences},
    ledger::{self, Ledger, Loss, promised},
    tally::Tally,
};

/// Exchanges that the last drain may take: each settles up to 1,000 rows, a life collects a few thousand.
const LAST_EXCHANGES: u32 = 40;
/// One life in this many has a queue so small that it overflows: then gap records must survive as well.
const SMALL_QUEUE_ONE_IN: u32 = 4;
/// Rows of such a queue: less than two chunks of a scene.
const SMALL_QUEUE_ROWS: &str = "300";

/// The data directory on the disk. Neither directory exists: the agent makes both, and both must outlive a cut.
const DATA_DIR: &str = "var/apollo";

pub(crate) struct AgentLife<'a> {
    pub(crate) world: &'a World,
    pub(crate) agent: Agent,
    pub(crate) disk: Disk,
    pub(crate) ledger: Ledger,
    /// Process that observations are about, and one that is bound to another device.
    pub(crate) processes: [String; 2],
    /// Where the disk is mounted.
    pub(crate) place: PathBuf,
    pub(crate) device: String,
    messages: AtomicU64,
    polling: Device,
    /// What the gateway has served under each ETag, and the newest of them.
    pub(crate) served: BTreeMap<String, Desired>,
    pub(crate) newest: i64,
    pub(crate) seen: Seen,
    pub(crate) queue_rows: Option<&'static str>,
}

impl<'a> AgentLife<'a> {
    pub(crate) fn new(world: &'a World, number: u32, syncs: Syncs, rng: &mut StdRng) -> Result<Self> {
        let device = format!("device-{number}");
        let place = world.sandbox.join(&format!("disk-{number}"));
        std::fs::create_dir(&place)?;
        let disk = Disk::default();
        disk.set_syncs(syncs);
        let agent = world.agent(&device)?.with_data_dir(place.join(DATA_DIR));
        world.bind(&format!("foreign-{number}"), "somebody-else")?;
        let mut life = Self {
            world,
            agent,
            disk,
            ledger: Ledger::default(),
            processes: ["camera", "foreign"].map(|name| format!("{name}-{number}")),
            place,
            polling: world.device(&device)?,
            device,
            messages: AtomicU64::new(0),
            served: BTreeMap::new(),
            newest: 0,
            seen: Seen::default(),
            queue_rows: rng
                .random_ratio(1, SMALL_QUEUE_ONE_IN)
                .then_some(SMALL_QUEUE_ROWS),
        };
        life.desire_something_new()?;
        Ok(life)
    }

    /// Cuts the power so often, and looks each time; then drains what is left.
    pub(crate) fn live(mut self, cuts: u32, rng: &mut StdRng, tally: &mut Tally) -> Result<()> {
        for number in 0..cuts {
            let scene = if number == 0 {
                Scene::Creation
            } else {
                Scene::draw(rng)
            };
            if scene.syncs() {
                self.desire_something_new()?;
            }
            let cut = self.cut_during(scene, rng)?;
            tally.add(scene.name(), "agent.db", &cut);
            let found = self.look().map_err(as_loss);
            found.with_context(|| {
                self.keep(&format!("{}, cut {number} in {scene:?}: {cut:#?}", self.device))
            })?;
        }
        let drained = self.drain().map_err(as_loss);
        drained.with_context(|| self.keep(&format!("{}, drained after {cuts} cuts", self.device)))?;
        tally.add_confirmed(self.ledger.confirmed().len());
        Ok(())
    }

    /// An observation's message: no other observation has it.
    pub(crate) fn next_message(&self, length: usize) -> String {
        let number = self.messages.fetch_add(1, Ordering::Relaxed);
        format!("{:-<length$}", format!("{} {number} ", self.device))
    }

    fn cut_during(&self, scene: Scene, rng: &mut StdRng) -> Result<Cut> {
        let mounted = self.disk.mount(&self.place)?;
        let (at, number) = scene.draw_instant(rng);
        self.disk.cut_at(at, number);
        let played = scene.play(self);
        // Whatever happened, nobody is left who works on it.
        self.disk.cut_now();
        drop(mounted);
        let cut = self.disk.power_on(rng);
        played.with_context(|| format!("{}, {scene:?}", self.device))?;
        Ok(cut)
    }

    /// Changes the spec of the device's process and learns what the gateway serves then.
    fn desire_something_new(&mut self) -> Result<()> {
        let object = workload::device_process(&self.processes[0], &self.device);
        let version = self.newest + 1;
        // Suspended, so that the agent starts no program that would survive it.
        let changed = format!("infinity, \"{version}\"], suspend: true}}");
        self.world
            .gateway
            .apply(&object.replace("infinity]}", &changed))?;
        let (etag, desired) = wait::until("the new spec to be served", PATIENCE, || {
            let reply = self.polling.desired(None)?;
            let etag = reply.header("etag").context("no etag")?.to_owned();
            let body = reply.json()?;
            let items = body["processes"].as_array().context("no processes")?;
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let desired: Desired = items
                .iter()
                .map(|item| {
                    let name = format!("{}/{}", text(&item["namespace"]), text(&item["name"]));
                    (
                        name,
                        item["generation"].as_i64().unwrap_or(0),
                        text(&item["specHash"]),
                    )
                })
                .collect();
            Ok((generation(&desired) == version).then_some((etag, desired)))
        })?;
        self.served.insert(etag, desired);
        self.newest = version;
        Ok(())
    }

    /// Without further cuts everything gets through, once.
    fn drain(&mut self) -> Result<()> {
        let mounted = self.disk.mount(&self.place)?;
        let mut left = LAST_EXCHANGES;
        while self.agent.pending()? > 0 {
            promised!(left > 0, "the queue does not drain");
            left -= 1;
            self.agent.sync_once()?;
        }
        drop(mounted);
        let there = Gone::to_the_gateway(self)?;
        let dead = ledger::ranges(&self.copied()?, "SELECT seq, seq FROM dead_letters", None)?;
        let (dead, lost) = (sequences(&dead), sequences(&there.gaps));
        for (sequence, message) in &self.ledger.confirmed() {
            let arrived = there.history.get(sequence);
            promised!(
                arrived == Some(message) || dead.contains(sequence) || lost.contains(sequence),
                "{sequence} was confirmed, and history has {arrived:?} for {message:?}"
            );
            // Nothing is refused that was meant for this device, and nothing pushed out of a queue with room.
            let may_lack = message.contains(FOREIGN) || self.queue_rows.is_some();
            promised!(
                arrived.is_some() || may_lack,
                "{sequence} did not arrive: {message:?}"
            );
        }
        self.gateway_met_one_instance()?;
        self.status_is_the_maximum_of_history()
    }

    /// A cut is no restored image: the agent never had to start a new instance.
    fn gateway_met_one_instance(&self) -> Result<()> {
        let device = self.world.gateway.device(&self.device)?;
        let met = device["status"]["instances"].as_array().map_or(0, Vec::len);
        promised!(met == 1, "the gateway met {met} instances: {device}");
        Ok(())
    }

    fn status_is_the_maximum_of_history(&self) -> Result<()> {
        let name = &self.processes[0];
        let shown = self.world.status(name)?["sync"]["sequence"].as_u64();
        let store = ledger::read_only(&self.world.sandbox.join("gateway.db"))?;
        let highest: Option<i64> = store.query_row(
            "SELECT max(seq) FROM observations WHERE process = ?1 AND state IS NOT NULL",
            [format!("default/{name}")],
            |row| row.get(0),
        )?;
        let highest = highest.map(i64::unsigned_abs);
        promised!(
            shown == highest,
            "{name} shows {shown:?}, its history goes to {highest:?}"
        );
        Ok(())
    }

    /// The database, as a copy; nobody has the disk mounted.
    pub(crate) fn copied(&self) -> Result<rusqlite::Connection> {
        ledger::copied(
            &self.disk,
            &Path::new(DATA_DIR).join("agent.db"),
            &self.survivor(),
        )
    }

    fn survivor(&self) -> PathBuf {
        self.world.sandbox.join(&format!("{}-survivor", self.device))
    }

    /// Adds to a text where the disk is, for a look by hand.
    fn keep(&self, text: &str) -> String {
        let copied = self.copied().map(drop);
        format!(
            "{text}\nwith APOLLO_KEEP=1 the disk is in {} ({copied:?})",
            self.survivor().display()
        )
    }
}

/// What messages about the other device's process contain.
pub(crate) const FOREIGN: &str = "[foreign]";

/// Whatever keeps a survivor from being looked at is a loss as well: the database always opens.
fn as_loss(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Loss>() {
        error
    } else {
        anyhow!(Loss(format!("{error:#}")))
    }
}
