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
fn r10_a_database_replaced_by_an_older_copy() -> Result<()> {
    let size = Size {
        states: 51_722,
        distinct: 26_763,
        depth: 63,
    };
    holds(scopes::rollback(), &size)
}

#[test]
fn r09_a_queue_of_one_row() -> Result<()> {
    let size = Size {
        states: 153_441,
        distinct: 82_498,
        depth: 60,
    };
    holds(scopes::overflow(), &size)
}
