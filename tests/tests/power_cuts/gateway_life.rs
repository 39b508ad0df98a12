//! One gateway through several power cuts, with its embedded store on a disk of its own, devices that report to it and
//! an operator who applies. After each cut the store is opened by a new gateway and compared with what was confirmed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::AtomicU64,
};

use anyhow::{Context, Result, anyhow};
use apollo_power::{Cut, Disk, Syncs};
use apollo_tests::{
    harness::{Device, Gateway, GatewayOptions, Pki, Sandbox},
    workload,
};
use rand::{Rng, rngs::StdRng};
use rusqlite::OptionalExtension;

use crate::{
    gateway_scenes::{self, Reporter, Scene},
    ledger::{self, Loss, promised},
    tally::Tally,
    verdict_book::{Identity, VerdictBook},
};

/// The first part of the names of DeviceProcesses; the device's follows.
pub(crate) const PROCESS: &str = "camera";
/// The devices, each with one connection.
const DEVICES: [&str; 3] = ["buoy-1", "buoy-2", "buoy-3"];
/// The store's file.
const DATABASE: &str = "gateway.db";
/// The directory of the sandbox that gets a copy of the disk.
const SURVIVOR: &str = "survivor";
/// Before a scene a device becomes another instance once in this many times.
const NEW_INSTANCE_ONE_IN: u32 = 3;

pub(crate) struct GatewayLife {
    pub(crate) disk: Disk,
    pub(crate) book: VerdictBook,
    /// The version of the specs that was applied last, confirmed or not.
    pub(crate) version: AtomicU64,
    place: PathBuf,
    pki: Pki,
    pub(crate) sandbox: Sandbox,
}

impl GatewayLife {
    pub(crate) fn new(syncs: Syncs) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let place = sandbox.join("disk");
        std::fs::create_dir(&place)?;
        let disk = Disk::default();
        disk.set_syncs(syncs);
        Ok(Self {
            disk,
            book: VerdictBook::default(),
            version: gateway_scenes::no_version(),
            place,
            pki: Pki::new(&sandbox)?,
            sandbox,
        })
    }

    /// Cuts the power so often, and looks each time; then delivers what is left.
    pub(crate) fn live(self, cuts: u32, rng: &mut StdRng, tally: &mut Tally) -> Result<()> {
        let mut reporters = DEVICES.map(Reporter::new);
        for number in 0..cuts {
            for reporter in &mut reporters {
                if reporter.instance.is_empty()
                    || (!reporter.has_unsettled() && rng.random_ratio(1, NEW_INSTANCE_ONE_IN))
                {
                    reporter.become_instance(rng);
                }
            }
            let scene = if number == 0 {
                Scene::Creation
            } else {
                Scene::draw(rng)
            };
            let cut = self.cut_during(scene, &mut reporters, rng)?;
            tally.add(scene.name(), DATABASE, &cut);
            let found = self.look(&mut []).map_err(as_loss);
            found.with_context(|| self.keep(&format!("cut {number} in {scene:?}: {cut:#?}")))?;
        }
        let found = self.look(&mut reporters).map_err(as_loss);
        found.with_context(|| self.keep(&format!("at the end, after {cuts} cuts")))?;
        tally.add_confirmed(self.book.read().settled.len());
        Ok(())
    }

    /// Starts a gateway on the disk and waits until it serves.
    pub(crate) fn start(&self) -> Result<Gateway> {
        let options = GatewayOptions {
            store: self.database().display().to_string(),
            ..GatewayOptions::default()
        };
        Gateway::spawn(&self.sandbox, &self.pki, &options)
    }

    /// A device's connection to it.
    pub(crate) fn connect(&self, gateway: &Gateway, device: &str) -> Result<Device> {
        Device::connect(gateway.udp(), &self.pki, Some(&self.pki.device(device)?))
    }

    /// The store, as commands name it.
    pub(crate) fn store(&self) -> String {
        format!("embedded:{}", self.database().display())
    }

    /// The objects that the operator applies, with the version in each spec.
    pub(crate) fn objects(version: u64) -> String {
        let of = |device: &&str| workload::device_process(&format!("{PROCESS}-{device}"), device);
        let objects: String = DEVICES.iter().map(of).collect();
        objects.replace("infinity]", &format!("\"{version}\"]"))
    }

    fn database(&self) -> PathBuf {
        self.place.join(DATABASE)
    }

    fn cut_during(&self, scene: Scene, reporters: &mut [Reporter], rng: &mut StdRng) -> Result<Cut> {
        let mounted = self.disk.mount(&self.place)?;
        let instant = scene.draw_instant(rng);
        let played = gateway_scenes::play(scene, self, reporters, instant);
        self.disk.cut_now();
        drop(mounted);
        let cut = self.disk.power_on(rng);
        played.with_context(|| format!("{scene:?}"))?;
        Ok(cut)
    }

    /// The disk came back: a gateway serves from it, and everything confirmed is in it. `reporters` deliver first.
    fn look(&self, reporters: &mut [Reporter]) -> Result<()> {
        let mounted = self.disk.mount(&self.place)?;
        let mut gateway = self.start()?;
        gateway_scenes::deliver(self, &gateway, reporters)?;
        gateway.process.kill()?;
        drop(mounted);
        let store = self.copied()?;
        ledger::is_sound(&store)?;
        let history = read_history(&store)?;
        self.history_is_complete(&history)?;
        self.statuses_are_not_behind(&store, &history)?;
        self.epochs_stand(&store)?;
        self.what_was_applied_stands(&store)
    }

    fn history_is_complete(&self, history: &History) -> Result<()> {
        for (identity, message) in &self.book.read().settled {
            let stored = history.get(identity).map(|stored| &stored.message);
            promised!(
                stored == Some(message),
                "{identity:?} was settled, and history has {stored:?} for {message:?}"
            );
        }
        Ok(())
    }

    /// Each status is at least as new as what was settled about it. What came before its process was applied is history
    /// only.
    fn statuses_are_not_behind(&self, store: &rusqlite::Connection, history: &History) -> Result<()> {
        let settled = self.book.read().settled;
        for device in DEVICES {
            let rows = history
                .iter()
                .filter(|(of, row)| of.0 == device && !row.orphaned && settled.contains_key(*of));
            let highest = rows.map(|(of, row)| (row.epoch, of.2)).max();
            let process = format!("{PROCESS}-{device}");
            let select =
                "SELECT coalesce(epoch, 0), coalesce(sequence, 0) FROM device_processes WHERE name = ?1";
            let shown = store
                .query_row(select, [&process], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?
                .map(|(epoch, sequence): (i64, i64)| (epoch.unsigned_abs(), sequence.unsigned_abs()));
            promised!(
                highest.is_none() || shown >= highest,
                "{process} shows {shown:?}, settled was {highest:?}"
            );
        }
        Ok(())
    }

    /// Every instance still has the epoch its device was told.
    fn epochs_stand(&self, store: &rusqlite::Connection) -> Result<()> {
        for ((device, instance), told) in self.book.read().epochs {
            let select = "SELECT json_extract(i.value, '$.epoch') FROM devices d, \
                          json_each(d.status_json, '$.instances') i \
                          WHERE d.name = ?1 AND json_extract(i.value, '$.id') = ?2";
            let mut statement = store.prepare(select)?;
            let stored = statement.query_map([&device, &instance], |row| row.get::<_, i64>(0))?;
            let stored: Vec<i64> = stored.collect::<Result<_, _>>()?;
            // The list forgets the oldest instances, never the epoch of one that it has.
            promised!(
                stored.iter().all(|epoch| epoch.unsigned_abs() == told),
                "{device} {instance} was told epoch {told} and has {stored:?}"
            );
        }
        Ok(())
    }

    /// The specs are of the version confirmed last or of one applied after it, all of the same.
    fn what_was_applied_stands(&self, store: &rusqlite::Connection) -> Result<()> {
        let confirmed = self.book.read().applied;
        let mut statement =
            store.prepare("SELECT json_extract(spec_json, '$.command[1]') FROM device_processes")?;
        let versions = statement.query_map([], |row| row.get::<_, String>(0))?;
        let versions: Vec<String> = versions.collect::<Result<_, _>>()?;
        let newest: u64 = versions.first().map_or(Ok(0), |version| version.parse())?;
        promised!(
            versions.iter().all(|version| *version == newest.to_string()),
            "one apply wrote some objects and not others: {versions:?}"
        );
        promised!(
            newest >= confirmed,
            "version {confirmed} was confirmed, the store has {newest}"
        );
        promised!(
            confirmed == 0 || versions.len() == DEVICES.len(),
            "objects are gone: {versions:?}"
        );
        Ok(())
    }

    /// The store, as a copy; nobody has the disk mounted.
    fn copied(&self) -> Result<rusqlite::Connection> {
        ledger::copied(&self.disk, Path::new(DATABASE), &self.sandbox.join(SURVIVOR))
    }

    /// Adds to a text where the disk is, for a look by hand.
    fn keep(&self, text: &str) -> String {
        let to = self.sandbox.join(SURVIVOR);
        let copied = self.copied().map(drop);
        format!(
            "{text}\nwith APOLLO_KEEP=1 the disk is in {} ({copied:?})",
            to.display()
        )
    }
}

/// What history has about an observation.
struct Stored {
    message: String,
    epoch: u64,
    orphaned: bool,
}

type History = BTreeMap<Identity, Stored>;

/// Everything in history; nothing stands there twice.
fn read_history(store: &rusqlite::Connection) -> Result<History> {
    let select = "SELECT device, instance, seq, message, epoch, orphaned FROM observations";
    let mut statement = store.prepare(select)?;
    let rows = statement.query_map([], |row| {
        let (sequence, epoch): (i64, i64) = (row.get(2)?, row.get(4)?);
        let stored = Stored {
            message: row.get(3)?,
            epoch: epoch.unsigned_abs(),
            orphaned: row.get(5)?,
        };
        Ok(((row.get(0)?, row.get(1)?, sequence.unsigned_abs()), stored))
    })?;
    let rows: Vec<(Identity, Stored)> = rows.collect::<Result<_, _>>()?;
    let count = rows.len();
    let history: History = rows.into_iter().collect();
    promised!(history.len() == count, "an observation stands twice in history");
    Ok(history)
}

/// Whatever keeps a survivor from being looked at is a loss as well: the database always opens.
fn as_loss(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Loss>() {
        error
    } else {
        anyhow!(Loss(format!("{error:#}")))
    }
}
