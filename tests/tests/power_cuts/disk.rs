//! The disk as programs meet it: mounted, written to through the kernel, and cut. Programs, not this process: one that
//! waits for a file that it serves itself cannot be killed.

use std::{path::Path, process::Command};

use anyhow::Result;
use apollo_power::{At, Disk, Operation};
use apollo_tests::harness::Sandbox;

use crate::can_mount;

/// Runs a script with the disk as its directory; what it printed, if it succeeded.
fn shell(directory: &Path, script: &str) -> Result<Option<String>> {
    let output = Command::new("/bin/sh")
        .args(["-ec", script])
        .current_dir(directory)
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(output.status.success().then_some(text))
}

#[test]
fn only_what_was_synced_is_there_after_the_hardest_cut() -> Result<()> {
    if !can_mount("only_what_was_synced_is_there_after_the_hardest_cut")? {
        return Ok(());
    }
    let (place, disk) = (Sandbox::new()?, Disk::default());
    let mounted = disk.mount(place.path())?;
    let written = shell(
        place.path(),
        "printf synced > whole; printf synced > nameless; mkdir sub; printf synced > sub/deep
         sync whole sub/deep sub . # files and directories alike
         printf lost > whole; mv nameless renamed; printf lost > new; sync new; cat whole new; ls",
    )?;
    assert_eq!(written.as_deref(), Some("lostlostnew\nrenamed\nsub\nwhole\n"));
    disk.cut_now();
    assert_eq!(
        shell(place.path(), "printf more > more")?,
        None,
        "without power nothing works"
    );
    drop(mounted);
    disk.power_on_with_synced_only();
    let _mounted = disk.mount(place.path())?;
    // `nameless` had its name synced, and not its content.
    let left = shell(place.path(), "ls; cat whole nameless sub/deep")?;
    assert_eq!(left.as_deref(), Some("nameless\nsub\nwhole\nsyncedsynced"));
    Ok(())
}

#[test]
fn the_power_goes_in_the_middle_of_a_program() -> Result<()> {
    if !can_mount("the_power_goes_in_the_middle_of_a_program")? {
        return Ok(());
    }
    let (place, disk) = (Sandbox::new()?, Disk::default());
    let mounted = disk.mount(place.path())?;
    disk.cut_at(At::Sync, 2);
    assert_eq!(shell(place.path(), "printf a > a; sync a .; echo synced")?, None);
    drop(mounted);
    let cut = disk.power_on_with_synced_only();
    assert_eq!(
        cut.during.map(|(operation, _)| operation),
        Some(Operation::SyncDirectory)
    );
    Ok(())
}

#[test]
fn a_mount_is_gone_with_its_handle_and_was_never_everybodys() -> Result<()> {
    if !can_mount("a_mount_is_gone_with_its_handle_and_was_never_everybodys")? {
        return Ok(());
    }
    let (place, disk) = (Sandbox::new()?, Disk::default());
    let path = place.path().display().to_string();
    let is_in = |table: &str| -> Result<bool> { Ok(std::fs::read_to_string(table)?.contains(&path)) };
    let mounted = disk.mount(place.path())?;
    assert!(is_in("/proc/thread-self/mounts")?);
    if nix::unistd::geteuid().is_root() {
        // Only this thread and what it starts see the mount: nothing is left behind whoever is killed.
        assert!(!is_in("/proc/self/mounts")?);
    }
    drop(mounted);
    assert!(!is_in("/proc/thread-self/mounts")?);
    Ok(())
}
