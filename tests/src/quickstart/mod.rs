//! The whole of Apollo on one machine, in under a minute: what `cargo quickstart` runs.
//!
//! The steps are the story of a device at sea: it gets work, does it, loses its link, goes on working, and hands over
//! what it has seen when the link is back. The check at the end is the promise that matters: each observation arrived
//! exactly once.

mod narrate;
mod steps;
mod system;
mod verify;

pub use narrate::Narrator;

use steps::Story;
use system::System;

/// Runs the story. Returns whether every observation arrived exactly once. With `stay`, keeps the system running
/// until Ctrl-C.
pub fn run(stay: bool, narrator: &mut Narrator) -> anyhow::Result<bool> {
    narrator.title("Apollo quickstart: a gateway, a device, and the link between them")?;
    let mut system = System::start(narrator)?;
    let story = Story {
        system: &system,
        narrator,
    };
    let exactly_once = story.tell()?;
    if stay {
        narrator.look_around(&system)?;
        system::wait_for_interrupt()?;
        narrator.say("stopping")?;
    }
    system.stop()?;
    Ok(exactly_once)
}
