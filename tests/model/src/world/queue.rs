//! The queue of status writes as far as it is part of a state: which reports' writes wait, and what is under way.
//!
//! The real queue is made of this for each step: its counters and its clock only grow, and decide nothing here.

use apollo_gateway_core::{
    object::{ProcessObject, Versioned},
    writes::Request,
};

/// What is in it.
#[derive(Debug, Clone, Hash, Default)]
pub struct Queue {
    /// Replicas whose report's write waits, in the order in which they came.
    pub waiting: Vec<usize>,
    /// What is under way.
    pub sent: Option<Box<Sent>>,
}

/// A request under way.
#[derive(Debug, Clone, Hash)]
pub struct Sent {
    /// Replicas whose writes it carries.
    pub carried: Vec<usize>,
    /// The request.
    pub request: Request,
    /// The object it was computed from.
    pub from: Versioned<ProcessObject>,
}

impl Queue {
    /// Whether nothing waits or is under way.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_none()
    }
}
