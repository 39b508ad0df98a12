//! What is checked on a device's disk after each cut.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use crate::{
    agent_life::AgentLife,
    ledger::{self, promised},
};

/// A device's desired processes, as the agent's view shows them: name, generation, hash of the spec.
pub(crate) type Desired = Vec<(String, i64, String)>;

/// What was on the disk at the last look: it may not go away again.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    instance: Option<String>,
    dead: BTreeSet<u64>,
    gaps: BTreeSet<u64>,
    generation: i64,
}

impl AgentLife<'_> {
    /// The disk came back: the program opens it, and everything confirmed is on it or with the gateway.
    pub(crate) fn look(&mut self) -> Result<()> {
        let mounted = self.disk.mount(&self.place)?;
        let stats = self.agent.queue_stats()?;
        drop(mounted);
        let database = self.copied()?;
        ledger::is_sound(&database)?;
        let pending: BTreeMap<u64, String> =
            ledger::messages(&database, "SELECT seq, message FROM queue", None)?
                .into_iter()
                .collect();
        let dead = ledger::ranges(&database, "SELECT seq, seq FROM dead_letters", None)?;
        let gaps = ledger::ranges(&database, "SELECT first, last FROM gaps", None)?;
        let there = Gone::to_the_gateway(self)?;
        let dead = sequences(&dead);
        let lost = sequences(gaps.iter().chain(&there.gaps));

        for (sequence, message) in &self.ledger.confirmed() {
            let found = [pending.get(sequence), there.history.get(sequence)];
            let other = found.iter().flatten().find(|found| *found != &message);
            promised!(
                other.is_none(),
                "{sequence} was told for {message:?} and is {other:?}"
            );
            promised!(
                found.iter().any(Option::is_some) || dead.contains(sequence) || lost.contains(sequence),
                "{sequence} was confirmed and is nowhere: {message:?}"
            );
        }
        self.nothing_went_back(&stats, dead, lost)?;
        self.desired_state_is_whole(&database)
    }

    /// What was there at the last look, and must stay.
    fn nothing_went_back(
        &mut self,
        stats: &serde_json::Value,
        dead: BTreeSet<u64>,
        gaps: BTreeSet<u64>,
    ) -> Result<()> {
        let instance = stats["instance"].as_str().context("no instance")?.to_owned();
        let before = &self.seen;
        // Until something was confirmed, a database may be made anew.
        promised!(
            before.instance.as_ref().is_none_or(|before| *before == instance),
            "instance {:?} became {instance}",
            before.instance
        );
        promised!(
            before.dead.is_subset(&dead),
            "dead letters are gone: {:?}",
            before.dead
        );
        promised!(
            before.gaps.is_subset(&gaps),
            "gap records are gone: {:?}",
            before.gaps
        );
        self.seen = Seen {
            instance: Some(instance),
            dead,
            gaps,
            generation: before.generation,
        };
        Ok(())
    }

    /// Document and ETag are a pair that the gateway has served, and not an older one than before.
    fn desired_state_is_whole(&mut self, database: &rusqlite::Connection) -> Result<()> {
        let mut statement = database.prepare("SELECT process, generation, spec_hash, etag FROM desired")?;
        let mut etags = BTreeSet::new();
        let mut desired = Desired::new();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            desired.push((row.get(0)?, row.get(1)?, row.get(2)?));
            etags.insert(row.get::<_, String>(3)?);
        }
        promised!(etags.len() <= 1, "several ETags: {etags:?}");
        for etag in &etags {
            let served = self.served.get(etag);
            promised!(
                served == Some(&desired),
                "{etag} stands with {desired:?}, served was {served:?}"
            );
        }
        let generation = generation(&desired);
        promised!(
            generation >= self.seen.generation,
            "desired state of generation {} was on the disk, now {generation}",
            self.seen.generation
        );
        self.seen.generation = generation;
        Ok(())
    }
}

/// What has left the device.
pub(crate) struct Gone {
    pub(crate) history: BTreeMap<u64, String>,
    pub(crate) gaps: BTreeSet<(u64, u64)>,
}

impl Gone {
    /// Reads the gateway's store, and finds nothing twice in it.
    pub(crate) fn to_the_gateway(life: &AgentLife<'_>) -> Result<Self> {
        let store = ledger::read_only(&life.world.sandbox.join("gateway.db"))?;
        let select = "SELECT seq, message FROM observations WHERE device = ?1";
        let arrived = ledger::messages(&store, select, Some(&life.device))?;
        let ours = arrived
            .iter()
            .filter(|(_, message)| message.starts_with(&life.device));
        let mut once = BTreeSet::new();
        for (sequence, message) in ours {
            promised!(
                once.insert(message),
                "{message:?} arrived twice, last under {sequence}"
            );
        }
        let count = arrived.len();
        let history: BTreeMap<_, _> = arrived.iter().cloned().collect();
        promised!(history.len() == count, "a sequence stands twice in history");
        let select = "SELECT first, last FROM gaps WHERE device = ?1";
        let gaps = ledger::ranges(&store, select, Some(&life.device))?;
        Ok(Self { history, gaps })
    }
}

/// Every sequence in ranges.
pub(crate) fn sequences<'a>(ranges: impl IntoIterator<Item = &'a (u64, u64)>) -> BTreeSet<u64> {
    ranges
        .into_iter()
        .flat_map(|(first, last)| *first..=*last)
        .collect()
}

/// The newest generation in a document.
pub(crate) fn generation(desired: &Desired) -> i64 {
    desired
        .iter()
        .map(|(_, generation, _)| *generation)
        .max()
        .unwrap_or(0)
}
