//! The gateway's decisions, without IO: what a report means, what status it joins into, what a device should run.
//!
//! Time and results come in as values, effects go out as values: the service, the simulator and the model checker all
//! drive this same code. [`exchange::Exchange`] is the machine that takes one report from admission to verdicts; it
//! asks a store for what it needs through [`store::StoreRequest`] and learns of it through [`store::StoreReply`].

pub mod object;
pub mod store;
