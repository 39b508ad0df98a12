//! What an agent may do to its queue.

use apollo_twins::queue::Queue;
use apollo_wire::{Gap, Report, Sequence, UnixMillis, Verdicts};

use super::Rule;
use crate::{
    cast,
    met::Met,
    scope::Scope,
    shared::Shared,
    world::{
        Ids, World,
        agent::{Agent, Taken, names},
    },
};

/// All observations that are on some disk or in history, or whose loss is on record.
pub fn kept(world: &World) -> Ids {
    let on_disks = world.agents.iter().flat_map(|agent| {
        let dead = agent.disk.dead_letters().map(|letter| &letter.observation);
        agent.disk.observations().chain(dead).map(cast::id_of)
    });
    let history = world.store.contents().history.rows();
    let in_history = history.map(|(_, _, entry)| cast::id_of(&entry.row.observation));
    let ids: Ids = on_disks.chain(in_history).collect();
    ids.and(world.ledger.dropped)
}

/// what was dropped is on record.
pub fn after_making_room(world: &mut World, before: &Shared<Agent>, number: usize) {
    let disk = &world.agents[number].disk;
    let (gaps, has) = (disk.gaps(), |seq| disk.observations().any(|row| row.seq == seq));
    let gone: Vec<_> = before.disk.observations().filter(|row| !has(row.seq)).collect();
    let recorded = gone.iter().all(|row| covered(&gaps, row.seq));
    world.met.add_if(!gone.is_empty(), Met::Dropped);
    for row in gone {
        world.ledger.dropped.add(cast::id_of(row));
    }
    world.ledger.broken.unless(recorded, Rule::DroppedSilently);
}

/// what is about to be sent would survive a power cut.
pub fn before_sending(world: &mut World, number: usize, report: &Report) {
    let Some(synced) = &world.agents[number].unsynced_since else {
        return;
    };
    let is_synced = |id| synced.observations().any(|row| cast::id_of(row) == id);
    let all = report
        .observations
        .iter()
        .all(|observation| is_synced(cast::id_of(observation)));
    world.ledger.broken.unless(all, Rule::SentBeforeSynced);
}

/// rows went because the verdicts name them, gap records because history has them.
pub fn after_settling(
    world: &mut World,
    before: &Shared<Agent>,
    number: usize,
    taken: &Taken,
    verdicts: &Verdicts,
) {
    let disk = &world.agents[number].disk;
    let has = |seq| disk.observations().any(|row| row.seq == seq);
    let named = |seq: Sequence| {
        taken.instance == before.disk.instance() && taken.sequences.contains(&seq) && names(verdicts, seq)
    };
    let gone = before.disk.observations().filter(|row| !has(row.seq));
    let all_named = gone.map(|row| row.seq).all(named);
    let history = &world.store.contents().history;
    let stored: Vec<Gap> = history
        .gaps()
        .filter(|(_, instance, _)| *instance == taken.instance)
        .map(|(_, _, gap)| gap)
        .collect();
    // A row that was pushed out while its report was on its way, and arrived, is not lost after all.
    let arrived = |seq| {
        let mut rows = history.rows();
        rows.any(|(_, instance, entry)| instance == taken.instance && entry.row.observation.seq == seq)
    };
    let still = disk.gaps();
    let gaps_kept = sequences(&before.disk.gaps())
        .filter(|seq| !covered(&still, *seq))
        .all(|seq| covered(&stored, seq) || arrived(seq));
    let buried = disk.dead_letters().count() > before.disk.dead_letters().count();
    world.met.add_if(buried, Met::DeadLetter);
    world.ledger.broken.unless(all_named, Rule::RowLeftUnnamed);
    world.ledger.broken.unless(gaps_kept, Rule::GapLost);
}

/// a new instance carries everything that waited, and nobody renews who need not.
pub fn after_renewing(scope: &Scope, world: &mut World, before: &Shared<Agent>, number: usize) {
    let disk = &world.agents[number].disk;
    let ids = |queue: &Queue| queue.observations().map(cast::id_of).collect::<Vec<_>>();
    let lost = |queue: &Queue| sequences(&queue.gaps()).count();
    let same = ids(disk) == ids(&before.disk) && lost(disk) == lost(&before.disk);
    world
        .met
        .add_if(!disk.gaps().is_empty() && scope.may_renew(), Met::GapRenumbered);
    world.ledger.broken.unless(same, Rule::RowLeftUnnamed);
    world
        .ledger
        .broken
        .unless(scope.may_renew(), Rule::RenewedWithoutCause);
}

/// What a saboteur does to its gap records.
pub fn forget_gaps(disk: &mut Queue) {
    let _ = disk.settle(disk.instance(), &disk.gaps(), &no_verdicts());
}

/// Verdicts that say nothing.
pub fn no_verdicts() -> Verdicts {
    Verdicts {
        epoch: 0,
        highest_sequence: 0,
        acked: Vec::new(),
        accepted: 0,
        duplicates: 0,
        orphaned: 0,
        rejected: Vec::new(),
        server_time: UnixMillis::saturating(0),
        clock_skew_ms: 0,
    }
}

fn covered(gaps: &[Gap], seq: Sequence) -> bool {
    gaps.iter().any(|gap| (gap.first..=gap.last).contains(&seq))
}

fn sequences(gaps: &[Gap]) -> impl Iterator<Item = Sequence> {
    gaps.iter().flat_map(|gap| gap.first..=gap.last)
}
