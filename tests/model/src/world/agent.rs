//! An agent: its disk, and the engine with what its driver has in hand.

use std::hash::{Hash, Hasher};

use apollo_agent_core::{
    engine::{
        Batch, DesiredOutcome, Effect, Engine, Event, Exchanged, Failure, FailureKind, Limits, Start,
        StartExchange,
        state::{ExchangeId, State},
    },
    time::Monotonic,
};
use apollo_twins::queue::Queue;
use apollo_wire::{DeviceName, Gap, InstanceId, Report, Sequence, Verdicts};

use crate::cast;

/// One boot for all rows: what another boot changes (the worth of a free-running clock) is not part of this model.
pub const BOOT: apollo_twins::queue::Boot = 1;

/// An agent, running or not.
#[derive(Debug, Clone, Hash)]
pub struct Agent {
    /// Its queue database as it would be after a power cut.
    pub disk: Queue,
    /// A copy somebody has taken of the database.
    pub image: Option<Box<Queue>>,
    /// What a power cut would leave, where a saboteur does not sync.
    pub unsynced_since: Option<Box<Queue>>,
    /// The running process.
    pub process: Option<Process>,
    /// How many observations it has made.
    pub observed: u8,
    /// How many instances it has drawn.
    pub instances_drawn: u8,
}

/// A running agent.
#[derive(Debug, Clone)]
pub struct Process {
    /// The real engine.
    pub engine: Engine,
    /// What its driver has to do.
    pub task: Task,
}

/// An engine is told apart by its situation: numbers of exchanges, moments and jitter are no part of it.
impl Hash for Process {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.engine.situation().hash(hasher);
        self.task.hash(hasher);
    }
}

impl Agent {
    /// Neither rows nor gap records wait.
    pub fn has_nothing_to_say(&self) -> bool {
        self.disk.pending() == 0 && self.disk.gaps().is_empty()
    }
}

/// What the driver has in hand.
#[derive(Debug, Clone, Hash)]
pub enum Task {
    /// The engine asked for nothing: its timer is armed.
    Rest,
    /// To take a batch and send it.
    Call(Call),
    /// To wait for the answer.
    Await {
        /// What was sent.
        taken: Taken,
        /// What the engine is told about it.
        facts: Batch,
        /// Whether it was sent again on a new connection.
        resent: bool,
        /// What the report said, for sending it again.
        report: Box<Report>,
        /// Whether the desired state was asked for beside it.
        poll: bool,
    },
    /// To write verdicts down.
    Settle {
        /// What they answer.
        taken: Taken,
        /// The verdicts.
        verdicts: Verdicts,
    },
    /// To start a new instance.
    Renew,
}

/// What of [`StartExchange`] makes a difference; its number does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Call {
    /// Most rows to take.
    pub max_rows: u32,
    /// Whether to ask for the desired state.
    pub poll: bool,
    /// What to announce as the next contact.
    pub next_contact_seconds: Option<u32>,
    /// Whether to name the agent's version.
    pub introduce: bool,
}

impl From<StartExchange> for Call {
    fn from(start: StartExchange) -> Self {
        Self {
            max_rows: start.max_rows,
            poll: start.poll,
            next_contact_seconds: start.next_contact_seconds,
            introduce: start.introduce,
        }
    }
}

/// The part of a batch that settling needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Taken {
    /// The instance of the report.
    pub instance: InstanceId,
    /// Its gap records.
    pub gaps: Vec<Gap>,
    /// Its rows.
    pub sequences: Vec<Sequence>,
}

impl Taken {
    /// How many of its rows the verdicts name.
    fn named_in(&self, verdicts: &Verdicts) -> u64 {
        let named = |sequence: &&Sequence| names(verdicts, **sequence);
        self.sequences.iter().filter(named).count() as u64
    }
}

/// Whether verdicts say anything about a sequence.
pub fn names(verdicts: &Verdicts, sequence: Sequence) -> bool {
    let refused = |seq: Sequence| verdicts.rejected.iter().any(|rejection| rejection.seq == seq);
    verdicts.acked.iter().any(|range| range.contains(sequence)) || refused(sequence)
}

/// Durations of nothing: a timer is due as soon as it is armed, so it may fire at any time. That covers all real
/// durations, for they only forbid some of these orders.
pub fn limits(batch_rows: u32) -> Limits {
    use std::time::Duration;
    Limits {
        sync_interval: Duration::ZERO,
        heartbeat: Duration::ZERO,
        batch_rows,
        batch_bytes: u64::MAX,
        backoff_initial: Duration::ZERO,
        backoff_cap: Duration::ZERO,
        refused_delay: Duration::ZERO,
        retry_after_cap: Duration::ZERO,
    }
}

impl Process {
    /// Starts on a disk.
    pub fn start(device: DeviceName, disk: &Queue, batch_rows: u32) -> Self {
        let start = Start {
            now: Monotonic::ZERO,
            device,
            pending: disk.pending(),
            jitter_seed: 1,
        };
        let mut process = Self {
            engine: Engine::new(limits(batch_rows), start),
            task: Task::Rest,
        };
        process.take_effects(None);
        process
    }

    /// Tells the engine, and takes what it asks for. `taken` is what verdicts would be settled against.
    pub fn tell(&mut self, event: Event, taken: Option<Taken>) -> Option<String> {
        self.engine.handle(event, Monotonic::ZERO);
        self.take_effects(taken)
    }

    /// Returns why the engine wants a new instance, if it does.
    fn take_effects(&mut self, taken: Option<Taken>) -> Option<String> {
        let mut taken = taken;
        let mut why_renew = None;
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::StartExchange(start) => self.task = Task::Call(start.into()),
                Effect::Settle { verdicts, .. } => {
                    if let Some(taken) = taken.take() {
                        self.task = Task::Settle { taken, verdicts };
                    }
                }
                Effect::RenewInstance { why, .. } => {
                    self.task = Task::Renew;
                    why_renew = Some(why);
                }
                // Documents are never sent in this model; what is written for people decides nothing.
                Effect::StoreDesired(_) | Effect::RecordStatus(_) | Effect::RecordPlan(_) | Effect::Stop => {}
            }
        }
        if matches!(self.engine.state(), State::Waiting { .. } | State::Stopped) {
            self.task = Task::Rest;
        }
        why_renew
    }

    /// The number of the exchange that is going on.
    pub fn exchange(&self) -> ExchangeId {
        match self.engine.state() {
            State::Exchanging { id } | State::Settling { id } | State::Renewing { id } => id,
            State::Waiting { .. } | State::Stopped => ExchangeId(u64::MAX),
        }
    }

    /// an operation is running or a timer is armed, and they agree.
    pub fn will_go_on(&self) -> bool {
        let armed = self.engine.poll_timeout().is_some();
        match (&self.task, self.engine.state()) {
            (Task::Rest, State::Waiting { .. }) => armed,
            (Task::Call(_) | Task::Await { .. }, State::Exchanging { .. })
            | (Task::Settle { .. }, State::Settling { .. })
            | (Task::Renew, State::Renewing { .. }) => !armed,
            _ => false,
        }
    }

    /// The exchange is over. Verdicts on nothing cost no write: they are settled at once. Returns why the engine wants a
    /// new instance, if it does.
    pub fn answered(&mut self, report: Result<Verdicts, Failure>, disk: &Queue) -> Option<String> {
        let Task::Await {
            taken, facts, poll, ..
        } = std::mem::replace(&mut self.task, Task::Rest)
        else {
            return None;
        };
        let exchanged = Exchanged {
            id: self.exchange(),
            desired: if poll && report.is_ok() {
                DesiredOutcome::NotModified
            } else {
                DesiredOutcome::NotAsked
            },
            batch: Some(facts),
            report,
        };
        let why = self.tell(Event::Exchanged(exchanged), Some(taken));
        if let Task::Settle { taken, .. } = &self.task
            && taken.sequences.is_empty()
            && taken.gaps.is_empty()
        {
            self.settled(disk);
        }
        why
    }

    /// The batch could not be taken.
    pub fn not_taken(&mut self) {
        let failure = Failure::new(FailureKind::Storage, "the disk refuses");
        let exchanged = Exchanged {
            id: self.exchange(),
            batch: None,
            report: Err(failure),
            desired: DesiredOutcome::NotAsked,
        };
        self.tell(Event::Exchanged(exchanged), None);
    }

    /// The verdicts are on disk.
    pub fn settled(&mut self, disk: &Queue) {
        let Task::Settle { taken, verdicts } = std::mem::replace(&mut self.task, Task::Rest) else {
            return;
        };
        let event = Event::Settled {
            id: self.exchange(),
            settled: taken.named_in(&verdicts),
            pending: disk.pending(),
        };
        self.tell(event, None);
    }

    /// The disk refused what was to be written.
    pub fn refused(&mut self) {
        let (id, message) = (self.exchange(), "the disk refuses".to_owned());
        let event = match self.task {
            Task::Renew => Event::RenewFailed { id, message },
            _ => Event::SettleFailed { id, message },
        };
        self.task = Task::Rest;
        self.tell(event, None);
    }

    /// The new instance is on disk.
    pub fn renewed(&mut self, disk: &Queue) {
        let event = Event::Renewed {
            id: self.exchange(),
            pending: disk.pending(),
        };
        self.tell(event, None);
    }

    /// A row was stored.
    pub fn queued(&mut self, disk: &Queue) {
        let pending = disk.pending();
        self.engine.handle(Event::Queued { pending }, Monotonic::ZERO);
        // New rows may bring the next exchange forward, never begin one.
        while self.engine.poll_effect().is_some() {}
    }
}

/// The report of a batch, as the driver makes it.
pub fn report(call: Call, batch: apollo_twins::queue::Batch) -> Report {
    Report {
        next_contact_seconds: call.next_contact_seconds,
        queue: Some(batch.queue),
        offered_through: Some(batch.offered_through),
        agent_version: call.introduce.then(|| "1".to_owned()),
        gaps: batch.gaps,
        observations: batch.observations,
        ..Report::empty(batch.instance, cast::now())
    }
}
