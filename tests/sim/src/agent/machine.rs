//! A machine: its disk, its clock, its child processes, and the agent while one runs.

use std::{collections::BTreeMap, time::Duration};

use apollo_agent_core::{
    engine::{Engine, Limits, Start},
    time::Monotonic,
};
use apollo_twins::queue::{self as twins, Queue};
use apollo_wire::{DeviceName, InstanceId, Observation, ProcessRef, ProcessState, Value};
use rand::Rng;

use super::{
    Agent, Stop,
    client::Client,
    clock::DeviceClock,
    disk::{DiskThread, token_of},
    effects::jitter_seed,
    intake::Intake,
    supervision::{Child, Supervision},
};
use crate::{
    facts::{Fact, MachineId, Operation, TOKEN, Token},
    plan::{Millis, Sizes},
    sabotage::Sabotage,
    world::{Context, Event, Life},
};

/// How often the driver looks for rows of other processes.
const LOOK_EVERY_MS: Millis = 1_000;

/// What all agents are configured with.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The engine's numbers.
    pub limits: Limits,
    /// The queue's bounds.
    pub queue: twins::Limits,
    /// How many gateways there are to dial.
    pub replicas: usize,
}

impl Settings {
    /// Those of a world.
    pub fn of(sizes: &Sizes) -> Self {
        Self {
            limits: Limits {
                sync_interval: Duration::from_secs(sizes.sync_interval_s),
                heartbeat: Duration::from_secs(sizes.heartbeat_s),
                batch_rows: sizes.batch_rows,
                ..Limits::default()
            },
            queue: twins::Limits {
                max_rows: sizes.queue_rows,
                max_bytes: 64 * 1024 * 1024,
            },
            replicas: sizes.replicas,
        }
    }
}

/// See the module's documentation.
pub struct Machine {
    /// Which.
    pub id: MachineId,
    /// The device its certificate names.
    pub device: DeviceName,
    /// What is on disk.
    pub queue: Queue,
    /// A copy of the disk that somebody put aside.
    image: Option<Queue>,
    pub(super) boot: u32,
    /// Its clock.
    pub clock: DeviceClock,
    /// Counts starts and ends of the agent.
    pub life: Life,
    /// Switched off for good.
    pub is_gone: bool,
    is_powered: bool,
    pub(super) agent: Option<Agent>,
    pub(super) children: BTreeMap<ProcessRef, Child>,
    pub(super) next_pid: u32,
    settings: Settings,
    pub(super) sabotage: Sabotage,
}

impl Machine {
    /// A new machine with an empty queue.
    pub fn new(
        context: &mut Context,
        id: MachineId,
        device: DeviceName,
        settings: Settings,
        sabotage: Sabotage,
    ) -> Self {
        Self {
            id,
            device,
            queue: Queue::new(new_instance(context), settings.queue),
            image: None,
            boot: 1,
            clock: DeviceClock::right(),
            life: 0,
            is_gone: false,
            is_powered: true,
            agent: None,
            children: BTreeMap::new(),
            next_pid: 100,
            settings,
            sabotage,
        }
    }

    /// A copy of this machine under another number: same certificate, same disk.
    pub fn cloned(&self, context: &mut Context, id: MachineId) -> Self {
        context.count("action: clone");
        let mut copy = Self::new(context, id, self.device.clone(), self.settings, self.sabotage);
        copy.queue = self.queue.clone();
        copy.clock = self.clock;
        copy.boot = self.boot + 1_000;
        context.fact(Fact::Cloned {
            machine: id,
            from: self.id,
            device: self.device.clone(),
            copied: tokens(&self.queue),
            gaps: self.queue.gaps(),
        });
        copy
    }

    /// Starts the agent, if the machine is on and none runs.
    pub fn start_agent(&mut self, context: &mut Context) {
        if self.agent.is_some() || self.is_gone {
            return;
        }
        self.is_powered = true;
        self.life += 1;
        let seed = jitter_seed(context);
        let stored = self.queue.desired().cloned();
        // A document of another device would not be run, and not be asked about either.
        let stored = stored.filter(|stored| stored.document.device == self.device);
        let etag = stored.as_ref().map(|stored| stored.etag.clone());
        let start = Start {
            now: Monotonic::ZERO,
            device: self.device.clone(),
            pending: self.queue.pending(),
            jitter_seed: seed,
        };
        let mut supervision = Supervision::new(seed.rotate_left(7));
        supervision.order = stored.map(|stored| stored.document);
        let mut intake = Intake::default();
        for (process, child) in std::mem::take(&mut self.children) {
            context.count("agent: left-over run stopped");
            let observation = Observation {
                state: Some(ProcessState::Stopped),
                spec_hash: Some(child.spec_hash),
                pid: Some(child.pid),
                reason: "LeftOverStopped".to_owned(),
                ..self.new_observation(context, process)
            };
            context.remember(token_of(&observation), &observation);
            intake.channel.push_back(observation);
        }
        self.agent = Some(Agent {
            engine: Engine::new(self.settings.limits, start),
            began_ms: context.now,
            etag: etag.filter(|etag| !etag.is_empty()),
            taken: None,
            disk: DiskThread::default(),
            awaits_disk: false,
            exchange: None,
            finished: None,
            client: Client::new(self.settings.replicas),
            supervision,
            intake,
            look_at_ms: None,
            stop: Stop::default(),
            wake_at_ms: None,
        });
        context.note(|| format!("machine {}: the agent starts", self.id));
        context.fact(Fact::AgentStarted { machine: self.id });
        self.pump(context);
    }

    /// Kills the agent. Its children live on.
    pub fn kill_agent(&mut self, context: &mut Context, off_ms: Millis) {
        if let Some(agent) = self.agent.take() {
            match agent.disk.under_way() {
                Some(false) => context.count("agent: killed within a transaction, before the commit"),
                Some(true) => context.count("agent: killed within a transaction, after the commit"),
                None => {}
            }
            context.note(|| format!("machine {}: the agent is killed", self.id));
            self.life += 1;
            self.start_later(context, off_ms);
        }
    }

    /// Asks the agent to end.
    pub fn stop_agent(&mut self, context: &mut Context, off_ms: Millis) {
        if let Some(agent) = &mut self.agent
            && !agent.stop.requested
        {
            agent.stop.requested = true;
            agent.stop.off_ms = off_ms;
            self.pump(context);
        }
    }

    /// The agent ends by itself: what the disk refused gets a last chance.
    pub(super) fn end(&mut self, context: &mut Context) {
        let Some(mut agent) = self.agent.take() else {
            return;
        };
        context.count("agent: stopped in good order");
        let mut unsaved = std::mem::take(&mut agent.intake.unsaved);
        unsaved.extend(agent.intake.channel);
        if !unsaved.is_empty() && !self.is_disk_full(context) {
            // Errors are of single observations that break a bound; the supervisor makes none.
            let _ = self.transact(context, Operation::Append, |queue, boot| {
                queue.append(boot, unsaved)
            });
        }
        context.note(|| format!("machine {}: the agent has ended", self.id));
        self.life += 1;
        self.start_later(context, agent.stop.off_ms);
    }

    /// Cuts the power: whatever was not on disk is gone, children included.
    pub fn cut_power(&mut self, context: &mut Context, off_ms: Millis, clock_lost: bool) {
        let was_off = !self.is_powered;
        self.kill_agent(context, off_ms);
        self.children.clear();
        self.life += 1;
        self.boot += 1;
        self.is_powered = false;
        if clock_lost {
            self.clock = DeviceClock::lost(context.now + off_ms);
            let set_after_ms = off_ms + context.chance.seeds.random_range(1_000..1_800_000);
            context.schedule(set_after_ms, Event::SetClock(self.id, self.boot));
            context.count("agent: clock unsynced");
        }
        if !was_off {
            self.start_later(context, off_ms);
        }
    }

    /// A time server sets the clock, unless the machine has booted again since.
    pub fn set_clock(&mut self, boot: u32) {
        if boot == self.boot {
            self.clock = DeviceClock::right();
        }
    }

    /// Puts a copy of the disk aside.
    pub fn take_image(&mut self) {
        self.image = Some(self.queue.clone());
    }

    /// Puts the disk back to the copy, if there is one.
    pub fn roll_back(&mut self, context: &mut Context, off_ms: Millis) {
        let Some(image) = self.image.clone() else {
            return;
        };
        context.count("action: roll back");
        self.cut_power(context, off_ms, false);
        let restored = tokens(&image);
        let mut lost = tokens(&self.queue);
        lost.retain(|token| !restored.contains(token));
        self.queue = image;
        context.fact(Fact::RolledBack {
            machine: self.id,
            device: self.device.clone(),
            lost,
            restored,
            gaps: self.queue.gaps(),
        });
    }

    /// Another process changes the queue: a script, a person.
    pub fn by_hand<T>(
        &mut self,
        context: &mut Context,
        operation: Operation,
        step: impl FnOnce(&mut Queue, u32) -> T,
    ) -> Option<T> {
        if !self.is_powered || self.is_gone || self.is_disk_full(context) {
            return None;
        }
        let done = self.transact(context, operation, step);
        if let Some(agent) = &mut self.agent
            && agent.look_at_ms.is_none()
        {
            let since_ms = context.now - agent.began_ms;
            agent.look_at_ms = Some(context.now + LOOK_EVERY_MS - since_ms % LOOK_EVERY_MS);
        }
        self.pump(context);
        Some(done)
    }

    /// Whether an agent runs.
    pub fn is_running(&self) -> bool {
        self.agent.is_some()
    }

    /// What the supervisor of the running agent sees.
    pub fn processes(&self) -> BTreeMap<ProcessRef, Option<ProcessState>> {
        let agent = self.agent.as_ref();
        agent.map_or_else(BTreeMap::new, |agent| agent.supervision.processes())
    }

    /// Wakes the agent at a time it was scheduled for.
    pub fn wake(&mut self, context: &mut Context) {
        if let Some(agent) = &mut self.agent {
            agent.wake_at_ms = None;
        }
        self.pump(context);
    }

    /// An observation made now, with a token of its own.
    pub fn new_observation(&self, context: &mut Context, process: ProcessRef) -> Observation {
        let now = context.now;
        let token = context.next_token();
        let mut observation = Observation::new(0, process, self.clock.read(now));
        observation.clock = self.clock.trust(now);
        // Far below 2^53: numbers count observations of one world.
        #[expect(clippy::cast_precision_loss, reason = "tokens are small")]
        let value = Value::new(token as f64);
        observation
            .values
            .extend(value.map(|value| (TOKEN.to_owned(), value)));
        observation
    }

    fn start_later(&mut self, context: &mut Context, off_ms: Millis) {
        context.schedule(off_ms, Event::StartAgent(self.id, self.life));
    }
}

/// Every observation on a disk, pending or dead.
fn tokens(queue: &Queue) -> Vec<Token> {
    let pending = queue.observations().map(token_of);
    let dead = queue.dead_letters().map(|letter| token_of(&letter.observation));
    pending.chain(dead).collect()
}

/// A random instance.
pub(super) fn new_instance(context: &mut Context) -> InstanceId {
    InstanceId::from_bytes(context.chance.seeds.random())
}
