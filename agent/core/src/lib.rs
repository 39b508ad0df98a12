//! The agent's decisions, without IO.
//!
//! Nothing here reads a clock, opens a socket or rolls dice: time, results and seeds come in as values, and what is
//! to be done goes out as values. So the drivers, the tests and a simulator all run the very same code.

pub mod backoff;
pub mod engine;
pub mod jitter;
pub mod supervise;
pub mod time;
