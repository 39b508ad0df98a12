//! What goes on at a gateway when the power is cut.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use apollo_power::At;
use apollo_tests::harness::{Device, Gateway, PATIENCE, Program, now};
use rand::{Rng, rngs::StdRng};
use serde_json::json;

use crate::{
    gateway_life::{GatewayLife, PROCESS},
    ledger::promised,
    program,
    tally::CREATION,
};

/// Observations in one report.
const ROWS: u64 = 60;
/// Bytes of a message: with [`ROWS`] a dozen pages a report, so that SQLite's checkpoint at 1,000 pages comes often.
const MESSAGE_BYTES: usize = 600;
/// Reports of each device before a gateway is stopped in good order.
const REPORTS_BEFORE_STOP: u32 = 4;

/// What goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    /// The first start, on an empty disk.
    Creation,
    /// A start after a cut.
    Start,
    /// Devices report and an operator applies, at once.
    Reports,
    /// The same, and then SIGTERM: the log goes into the file.
    Stop,
}

/// A device that the test plays, with what it still has to deliver.
pub(crate) struct Reporter {
    pub(crate) name: String,
    pub(crate) instance: String,
    next: u64,
    unsettled: BTreeMap<u64, String>,
}

impl Scene {
    /// One of the scenes after the first.
    pub(crate) fn draw(rng: &mut StdRng) -> Self {
        match rng.random_range(0..10) {
            0 => Self::Start,
            1..8 => Self::Reports,
            _ => Self::Stop,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Creation => CREATION,
            Self::Start => "start",
            Self::Reports => "reports",
            Self::Stop => "stop",
        }
    }

    /// At which operation the power goes. Names change while the database is made and when the last to close removes the
    /// log.
    pub(crate) fn draw_instant(self, rng: &mut StdRng) -> (At, u64) {
        let (any, syncs, names) = match self {
            Self::Creation => (80, 8, 4),
            Self::Start => (4, 2, 0),
            Self::Reports => (2_500, 80, 0),
            Self::Stop => (60, 3, 1),
        };
        match rng.random_range(0..4) {
            0 if names > 0 => (At::Name, rng.random_range(1..=names)),
            0 | 1 => (At::Sync, rng.random_range(1..=syncs)),
            _ => (At::Any, rng.random_range(1..=any)),
        }
    }
}

impl Reporter {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            instance: String::new(),
            next: 1,
            unsettled: BTreeMap::new(),
        }
    }

    /// Begins anew as another instance, as a device with a new disk does. Call it when nothing is unsettled.
    pub(crate) fn become_instance(&mut self, rng: &mut StdRng) {
        self.instance = format!(
            "0192f7c4-0000-7000-8000-{:012x}",
            rng.random_range(0..1_u64 << 48)
        );
        self.next = 1;
    }

    pub(crate) fn has_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// One report: what is unsettled, and as many new observations as there is room for. True if it was settled whole.
    pub(crate) fn report(&mut self, life: &GatewayLife, device: &Device, new_rows: bool) -> Result<bool> {
        while new_rows && self.unsettled.len() < usize::try_from(ROWS)? {
            let message = format!(
                "{:-<MESSAGE_BYTES$}",
                format!("{} {} {} ", self.name, self.instance, self.next)
            );
            self.unsettled.insert(self.next, message);
            self.next += 1;
        }
        let observations: Vec<_> = self
            .unsettled
            .iter()
            .map(|(sequence, message)| {
                json!({"seq": sequence, "process": format!("default/{PROCESS}-{}", self.name), "observedAt": now(0),
                       "state": "Running", "reason": "Sample", "message": message})
            })
            .collect();
        let reply = device
            .report(&json!({"instance": self.instance, "sentAt": now(0), "observations": observations}))?;
        if reply.status == 503 {
            return Ok(false);
        }
        ensure!(reply.status == 200, "{reply:?}");
        let settled = life
            .book
            .settle(&self.name, &self.instance, &self.unsettled, &reply.json()?)?;
        self.unsettled.retain(|sequence, _| !settled.contains(sequence));
        Ok(self.unsettled.is_empty())
    }
}

/// Plays a scene until the power has gone, and leaves nothing running.
pub(crate) fn play(
    scene: Scene,
    life: &GatewayLife,
    reporters: &mut [Reporter],
    (at, number): (At, u64),
) -> Result<()> {
    let armed_before_start = matches!(scene, Scene::Creation | Scene::Start);
    if armed_before_start {
        life.disk.cut_at(at, number);
    }
    let started = life.start();
    let mut gateway = match started {
        Ok(gateway) => gateway,
        // It said so and ended: what is on the disk is looked at later.
        Err(_) if life.disk.is_cut() => return Ok(()),
        Err(error) => return Err(error),
    };
    let connected: Vec<Device> = reporters
        .iter()
        .map(|reporter| life.connect(&gateway, &reporter.name))
        .collect::<Result<_>>()?;
    match scene {
        Scene::Stop => {
            for (reporter, device) in reporters.iter_mut().zip(&connected) {
                for _ in 0..REPORTS_BEFORE_STOP {
                    reporter.report(life, device, true)?;
                }
            }
            life.disk.cut_at(at, number);
            // It ends, in good order or because the disk fails; if without another change, the power goes after it.
            drop(gateway.process.terminate(PATIENCE));
            return Ok(());
        }
        Scene::Reports => life.disk.cut_at(at, number),
        Scene::Creation | Scene::Start => {}
    }
    report_and_apply(life, &mut gateway, reporters, connected)
}

/// Devices report and an operator applies until the power has gone; the gateway is killed at once then.
fn report_and_apply(
    life: &GatewayLife,
    gateway: &mut Gateway,
    reporters: &mut [Reporter],
    connected: Vec<Device>,
) -> Result<()> {
    /// How long it may take until the operation comes at which the power goes.
    const UNTIL_CUT: Duration = PATIENCE.saturating_mul(4);
    let lines: Vec<quinn::Connection> = connected.iter().map(|device| device.quic.clone()).collect();
    std::thread::scope(|scope| {
        let reporting: Vec<_> = reporters
            .iter_mut()
            .zip(connected)
            .map(|(reporter, device)| {
                scope.spawn(move || until_cut(life, || reporter.report(life, &device, true).map(drop)))
            })
            .collect();
        let applying = scope.spawn(|| until_cut(life, || apply(life)));
        let cut = life.disk.wait_for_cut(UNTIL_CUT);
        life.disk.cut_now();
        let killed = gateway.process.kill();
        for line in lines {
            // Else a device would wait for the answer of a dead gateway.
            line.close(quinn::VarInt::from_u32(0), b"");
        }
        for worker in reporting.into_iter().chain([applying]) {
            worker
                .join()
                .map_err(|_| anyhow::anyhow!("a worker panicked"))??;
        }
        killed?;
        ensure!(cut, "the power was to go and did not in {UNTIL_CUT:?}");
        Ok(())
    })
}

/// Does it again until the power has gone. What fails afterwards fails because of it.
fn until_cut(life: &GatewayLife, mut again: impl FnMut() -> Result<()>) -> Result<()> {
    while !life.disk.is_cut() {
        let done = again();
        if life.disk.is_cut() {
            // A verdict that does not fit the earlier ones is a loss also now.
            return done.or_else(|error| {
                if error.is::<crate::ledger::Loss>() {
                    Err(error)
                } else {
                    Ok(())
                }
            });
        }
        if done.is_err() {
            life.disk.cut_now();
            return done;
        }
    }
    Ok(())
}

/// `apply` of the next version of a spec.
fn apply(life: &GatewayLife) -> Result<()> {
    let version = life.version.fetch_add(1, Ordering::Relaxed) + 1;
    let mut command = std::process::Command::new(Program::Gateway.path()?);
    command.args(["apply", "-f", "-", "--store", &life.store()]);
    let ended = program::run(
        &life.disk,
        "apply",
        command,
        life.sandbox.path(),
        Some(&GatewayLife::objects(version)),
    )?;
    promised!(
        matches!(ended.code, None | Some(0)),
        "apply failed with {:?} on a working disk: {}",
        ended.code,
        ended.stderr
    );
    // It prints only what stands.
    if ended.code == Some(0) || !ended.stdout.is_empty() {
        life.book.applied(version);
    }
    Ok(())
}

/// The counter of versions begins below the first.
pub(crate) fn no_version() -> AtomicU64 {
    AtomicU64::new(0)
}

/// Delivers everything that is left, on a disk whose power stays.
pub(crate) fn deliver(life: &GatewayLife, gateway: &Gateway, reporters: &mut [Reporter]) -> Result<()> {
    for reporter in reporters {
        let device = life.connect(gateway, &reporter.name)?;
        let settled = reporter
            .report(life, &device, false)
            .context("deliver what is left")?;
        promised!(settled, "{} could not deliver what was left", reporter.name);
    }
    Ok(())
}
