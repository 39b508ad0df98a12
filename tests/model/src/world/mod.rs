//! A state of the world, and what it is made of.

pub mod agent;
pub mod letter;
pub mod queue;
pub mod replica;
pub mod store;

use std::hash::{Hash, Hasher};

use apollo_gateway_core::object::ProcessStatus;
use apollo_twins::queue::Queue;

use crate::{
    cast::{self, ObservationId},
    met::MetSet,
    rules::Broken,
    sabotage::Saboteur,
    scope::{Budget, Scope},
    shared::Shared,
};
use agent::{Agent, BOOT, Process};
use letter::Letter;
use queue::Queue as WritesQueue;
use replica::Replica;
use store::Store;

/// A state: everything that decides what may happen next, and what the rules need to remember.
#[derive(Debug, Clone)]
pub struct World {
    /// The agents, by number.
    pub agents: Vec<Shared<Agent>>,
    /// The replicas. Nothing tells one from the other but what they work on and what their caches show.
    pub replicas: Vec<Shared<Replica>>,
    /// What is on its way, in the order of digests: a multiset.
    pub letters: Vec<Shared<Letter>>,
    /// The store both replicas share.
    pub store: Shared<Store>,
    /// The queue of status writes, where there is one.
    pub queue: WritesQueue,
    /// What may still go wrong.
    pub left: Budget,
    /// What the rules remember.
    pub ledger: Ledger,
    /// What the step that led here came across. Not part of the state.
    pub met: MetSet,
}

/// What happened to observations and objects, as far as the rules need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ledger {
    /// Observations that somebody was told are stored.
    pub confirmed: Ids,
    /// Confirmed observations that an operator threw away by restoring an older copy.
    pub thrown_away: Ids,
    /// Observations in gap records.
    pub dropped: Ids,
    /// Foreign writes on each process.
    pub foreign_writes: [u8; 2],
    /// Rules that were broken on the way here.
    pub broken: Broken,
}

/// A set of observations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ids(u32);

impl Ids {
    /// Adds one.
    pub fn add(&mut self, id: ObservationId) {
        self.0 |= 1 << (id % 32);
    }

    /// What is in this set and not in `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<ObservationId> for Ids {
    fn from_iter<I: IntoIterator<Item = ObservationId>>(ids: I) -> Self {
        let mut set = Self::default();
        ids.into_iter().for_each(|id| set.add(id));
        set
    }
}

/// Identities of observations on a device's first image begin here, those of agent N at N times [`IDS_PER_AGENT`].
const IMAGE_IDS: ObservationId = 24;
/// Most observations of one agent.
pub const IDS_PER_AGENT: ObservationId = 8;

impl World {
    /// How the scope begins: agents started on their images, nobody known to the gateway.
    pub fn new(scope: &Scope) -> Self {
        let mut store = Store::default();
        store.edit(|objects| {
            for (number, bound_to) in scope.bindings.iter().enumerate() {
                objects.put_process(cast::process_object(number, *bound_to));
            }
        });
        let mut ledger = Ledger::default();
        let agents = scope.agents.iter().map(|plan| {
            let mut disk = Queue::new(cast::first_instance(plan.device), scope.queue);
            for (id, about) in (IMAGE_IDS..).zip(&scope.image) {
                // The observations are within the contract's bounds.
                let _ = disk.append(BOOT, vec![cast::observation(id, *about)]);
                ledger.confirmed.add(id);
            }
            Shared::new(Agent {
                process: Some(Process::start(cast::device(plan.device), &disk, scope.batch_rows)),
                disk,
                image: None,
                unsynced_since: None,
                observed: 0,
                instances_drawn: 0,
            })
        });
        Self {
            agents: agents.collect(),
            replicas: vec![Shared::new(Replica::default()); scope.replicas],
            letters: Vec::new(),
            store: Shared::new(store),
            queue: WritesQueue::default(),
            left: scope.budget,
            ledger,
            met: MetSet::default(),
        }
    }

    /// Puts a letter on its way.
    pub fn send(&mut self, letter: Letter) {
        let letter = Shared::new(letter);
        let at = self
            .letters
            .partition_point(|other| other.digest() <= letter.digest());
        self.letters.insert(at, letter);
    }

    /// An agent no longer listens to whatever it had sent.
    pub fn stop_listening(&mut self, agent: usize) {
        let letters = std::mem::take(&mut self.letters);
        for letter in letters {
            match &*letter {
                Letter::Answer { to, .. } if *to == agent => {}
                Letter::Report {
                    from,
                    awaited: true,
                    report,
                } if *from == agent => self.send(Letter::Report {
                    from: *from,
                    awaited: false,
                    report: report.clone(),
                }),
                _ => self.send_again(letter),
            }
        }
        for replica in &mut self.replicas {
            let listens = |replica: &Replica| {
                replica
                    .serving
                    .as_ref()
                    .is_some_and(|serving| serving.from == agent && serving.awaited)
            };
            if listens(replica) {
                replica.change(|replica| {
                    if let Some(serving) = &mut replica.serving {
                        serving.awaited = false;
                    }
                });
            }
        }
    }

    fn send_again(&mut self, letter: Shared<Letter>) {
        let at = self
            .letters
            .partition_point(|other| other.digest() <= letter.digest());
        self.letters.insert(at, letter);
    }

    /// Whether an answer to what the agent sent may still come.
    pub fn is_awaited(&self, agent: usize) -> bool {
        let on_its_way = self.letters.iter().any(|letter| match &**letter {
            Letter::Report { from, awaited, .. } => *from == agent && *awaited,
            Letter::Answer { to, .. } => *to == agent,
        });
        let in_work = |replica: &Shared<Replica>| {
            let serving = replica.serving.as_ref();
            serving.is_some_and(|serving| serving.from == agent && serving.awaited)
        };
        on_its_way || self.replicas.iter().any(in_work)
    }

    /// The status of a process.
    pub fn status(&self, process: usize) -> Option<&ProcessStatus> {
        let objects = &self.store.contents().objects;
        objects
            .process(&cast::process(process))
            .map(|found| &found.object.status)
    }
}

/// Which saboteur, if any, is at work.
pub fn is_sabotaged(scope: &Scope, by: Saboteur) -> bool {
    scope.saboteur == Some(by)
}

/// Two replicas that differ only by their place are the same state, unless a queue tells one from the other.
impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.agents.hash(hasher);
        let mut replicas: Vec<u64> = self.replicas.iter().map(Shared::digest).collect();
        if self.queue.is_empty() {
            replicas.sort_unstable();
        }
        replicas.hash(hasher);
        self.letters.hash(hasher);
        self.store.hash(hasher);
        self.queue.hash(hasher);
        self.left.hash(hasher);
        self.ledger.hash(hasher);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        crate::shared::digest(self) == crate::shared::digest(other)
    }
}
