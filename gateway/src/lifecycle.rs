//! Serving or draining: one value that everything long-lived watches.

use tokio::sync::watch;

/// What the process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Taking requests.
    Serving,
    /// Finishing what is under way; nothing new.
    Draining,
}

/// Ends the serving phase; held by whoever decides.
#[derive(Debug)]
pub struct Controller(watch::Sender<Phase>);

/// Tells of the phase; cheap to clone.
#[derive(Debug, Clone)]
pub struct Lifecycle(watch::Receiver<Phase>);

/// A new life, serving.
pub fn begin() -> (Controller, Lifecycle) {
    let (sender, receiver) = watch::channel(Phase::Serving);
    (Controller(sender), Lifecycle(receiver))
}

impl Controller {
    /// Starts draining. Doing so twice changes nothing.
    pub fn drain(&self) {
        self.0.send_replace(Phase::Draining);
    }
}

impl Lifecycle {
    /// Whether draining has begun.
    pub fn is_draining(&self) -> bool {
        *self.0.borrow() == Phase::Draining
    }

    /// Waits until draining begins, also if the controller is gone. Cancel-safe.
    pub async fn draining(&self) {
        let mut receiver = self.0.clone();
        // An error means that the controller was dropped: the process is on its way out.
        let _ = receiver.wait_for(|phase| *phase == Phase::Draining).await;
    }
}
