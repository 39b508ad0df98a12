//! Twins in memory of what Apollo keeps on disk: the gateway's store and the agent's queue.
//!
//! A twin is a value. Cloning it is a snapshot, and two that compare equal behave alike from there on, so a simulator can
//! cut the power and a model checker can tell whether it has been in a state before. A twin does no IO and fails
//! never: what goes wrong (a lost reply, a full disk, an unsynced write) is decided by what drives it.
//!
//! They are worth what they are compared with: `gateway/tests/store_twin_contract.rs` holds [`store`] to the contract of
//! every store, `agent/tests/queue/model.rs` compares [`queue`] with the SQLite queue, action by action.

pub mod queue;
pub mod store;
