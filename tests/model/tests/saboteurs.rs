//! The checker can fail: whoever works against a rule is found out, by a shortest way.

use anyhow::{Context, Result, ensure};
use apollo_model::{check, rules::laws::Law, sabotage::Saboteur, scope::Scope, scopes};

/// Explores a scope with a saboteur in it; the law it breaks must be this one, after this many steps.
fn is_found_out(saboteur: Saboteur, scope: Scope, law: Law, steps: usize) -> Result<()> {
    let explored = check::explore(Scope {
        saboteur: Some(saboteur),
        ..scope
    });
    println!("{explored}");
    let broken = explored.broken.context("nobody noticed")?;
    ensure!(broken.law == law.words(), "{}", broken.law);
    let found = broken.steps.len();
    ensure!(found == steps, "{found} steps instead of {steps}");
    Ok(())
}

#[test]
fn r01_an_append_confirmed_before_it_is_synced() -> Result<()> {
    is_found_out(Saboteur::UnsyncedAppend, scopes::crashes(), Law::SentIsOnDisk, 2)
}

#[test]
fn r02_r03_a_503_taken_for_a_yes() -> Result<()> {
    is_found_out(
        Saboteur::BusyTakenForYes,
        scopes::conflicts(),
        Law::NothingIsLost,
        6,
    )
}

#[test]
fn r03_verdicts_before_the_statuses() -> Result<()> {
    is_found_out(
        Saboteur::VerdictBeforeStatus,
        scopes::conflicts(),
        Law::VerdictComesLast,
        9,
    )
}

#[test]
fn r03_verdicts_before_history() -> Result<()> {
    is_found_out(
        Saboteur::VerdictBeforeHistory,
        scopes::conflicts(),
        Law::VerdictComesLast,
        9,
    )
}

#[test]
fn r05_versions_ignored() -> Result<()> {
    is_found_out(
        Saboteur::VersionIgnored,
        scopes::conflicts(),
        Law::ForeignFieldsAreKept,
        7,
    )
}

#[test]
fn r09_rows_dropped_without_a_record() -> Result<()> {
    is_found_out(
        Saboteur::SilentOverflow,
        scopes::overflow(),
        Law::DroppedIsOnRecord,
        2,
    )
}

#[test]
fn r10_other_observations_taken_for_duplicates() -> Result<()> {
    is_found_out(
        Saboteur::DivergenceIgnored,
        scopes::clones(),
        Law::VerdictComesLast,
        16,
    )
}

#[test]
fn r10_an_agent_that_never_renews() -> Result<()> {
    is_found_out(Saboteur::NeverRenews, scopes::clones(), Law::EverythingDrains, 1)
}

#[test]
fn r10_an_agent_that_does_not_note_what_it_offers() -> Result<()> {
    is_found_out(
        Saboteur::OfferedUnnoted,
        scopes::crashes(),
        Law::EverythingDrains,
        1,
    )
}

#[test]
fn a_gateway_that_looks_at_no_block() -> Result<()> {
    is_found_out(
        Saboteur::BlockIgnored,
        scopes::blocking(),
        Law::BlockedIsRefused,
        14,
    )
}
