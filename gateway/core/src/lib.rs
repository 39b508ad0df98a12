//! The gateway's decisions, without IO: what a report means, what status it joins into, what a device should
//! run.
//!
//! Time and results come in as values, effects go out as values: the service, the simulator and the model
//! checker all drive this same code. [`exchange::Exchange`] is the machine that takes one report from
//! admission to verdicts; it asks a store for what it needs through [`store::StoreRequest`] and learns of it
//! through [`store::StoreReply`].

pub mod admission;
pub mod conditions;
pub mod desired;
pub mod epoch;
pub mod etag;
pub mod exchange;
pub mod heartbeat;
pub mod join;
pub mod judge;
pub mod liveness;
pub mod machine;
pub mod object;
pub mod policy;
pub mod reconcile;
pub mod store;
pub mod time;
pub mod tracker;
pub mod writes;

mod verdict;
