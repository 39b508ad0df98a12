//! A mount namespace of the test's own.

use std::cell::Cell;

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

thread_local! {
    static PRIVATE: Cell<bool> = const { Cell::new(false) };
}

/// Gives this thread, and the threads and programs it starts from now on, mounts of their own: they vanish with the last
/// of them, even if all are killed, and nobody else sees them. Where the machine does not allow it, mounts are everybody's
/// and are removed when their handles are dropped.
pub(crate) fn make_private() {
    if PRIVATE.replace(true) || unshare(CloneFlags::CLONE_NEWNS).is_err() {
        return;
    }
    // Else mounts below a shared one would still be told to the namespace we came from.
    let nothing = None::<&str>;
    let _stays_shared = mount(
        nothing,
        "/",
        nothing,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        nothing,
    );
}
