//! Carries out the steps of a machine of the core.

use apollo_gateway_core::machine::{Machine, Step};

use crate::store::Store;

/// Runs a machine to its end. The machine bounds its own retries; dropping the future at any step is sound.
pub(super) async fn drive<M: Machine>(store: &impl Store, mut machine: M) -> M::Output {
    let mut step = machine.start();
    loop {
        step = match step {
            Step::Request(request) => machine.on_reply(store.execute(request).await),
            Step::Pause(pause) => {
                tokio::time::sleep(pause).await;
                machine.on_pause_over()
            }
            Step::Done(output) => return output,
        };
    }
}
