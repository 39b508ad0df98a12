//! Every scope, in full: all laws hold, everything it is meant to meet is met, and the search has the size it had.

use anyhow::{Result, ensure};
use apollo_model::{check, scope::Scope, scopes};

/// How many states there are, how many of them distinct, and how long the longest of the shortest ways is.
struct Size {
    states: usize,
    distinct: usize,
    depth: usize,
}

fn holds(scope: Scope, size: &Size) -> Result<()> {
    let explored = check::explore(scope);
    println!("{explored}");
    ensure!(explored.broken.is_none(), "{explored}");
    ensure!(explored.missed.is_empty(), "{explored}");
    ensure!(
        (explored.states, explored.distinct, explored.depth) == (size.states, size.distinct, size.depth),
        "{explored}The size has changed. If the decisions or the scope were changed on purpose, put the new figures here and in \
         docs/testing.md; if not, something happens that did not happen before, or no longer does.",
    );
    Ok(())
}

#[test]
fn r10_clones_with_one_observation_waiting() -> Result<()> {
    let size = Size {
        states: 1_486_207,
        distinct: 526_376,
        depth: 66,
    };
    holds(scopes::clones(), &size)
}

#[test]
fn r03_r05_two_replicas_another_writer_and_a_store_that_fails() -> Result<()> {
    let size = Size {
        states: 1_274_974,
        distinct: 374_876,
        depth: 43,
    };
    holds(scopes::conflicts(), &size)
}

#[test]
fn r01_r02_an_agent_killed_before_and_after_each_commit() -> Result<()> {
    let size = Size {
        states: 553_217,
        distinct: 214_940,
        depth: 50,
    };
    holds(scopes::crashes(), &size)
}

#[test]
fn r10_a_database_replaced_by_an_older_copy() -> Result<()> {
    let size = Size {
        states: 267_413,
        distinct: 131_480,
        depth: 64,
    };
    holds(scopes::rollback(), &size)
}

#[test]
fn r10_clones_whose_new_instances_meet_crashes_and_refusing_disks() -> Result<()> {
    let size = Size {
        states: 1_962_451,
        distinct: 698_663,
        depth: 66,
    };
    holds(scopes::renewals(), &size)
}

#[test]
fn epochs_are_handed_out_anew_for_a_deleted_device() -> Result<()> {
    let size = Size {
        states: 21_114,
        distinct: 10_462,
        depth: 58,
    };
    holds(scopes::epochs(), &size)
}

#[test]
fn r04_an_instance_that_was_forgotten() -> Result<()> {
    let size = Size {
        states: 30_377,
        distinct: 13_300,
        depth: 53,
    };
    holds(scopes::forgotten(), &size)
}

#[test]
fn a_device_blocked_and_let_in_again_behind_lagging_caches() -> Result<()> {
    let size = Size {
        states: 77_460,
        distinct: 26_171,
        depth: 43,
    };
    holds(scopes::blocking(), &size)
}

#[test]
fn r07_r08_rows_about_processes_of_others_and_processes_bound_elsewhere() -> Result<()> {
    let size = Size {
        states: 699_595,
        distinct: 275_220,
        depth: 52,
    };
    holds(scopes::binding(), &size)
}

#[test]
fn r09_a_queue_of_one_row() -> Result<()> {
    let size = Size {
        states: 153_441,
        distinct: 82_497,
        depth: 60,
    };
    holds(scopes::overflow(), &size)
}

#[test]
fn r04_r05_writes_of_one_object_folded_in_a_queue() -> Result<()> {
    let size = Size {
        states: 254_360,
        distinct: 113_206,
        depth: 54,
    };
    holds(scopes::folding(), &size)
}
