//! What can happen next. Events name the life of the process they are for: those of a life that is over are dropped.

use apollo_agent_core::supervise::{Exit, RunId};
use apollo_gateway_core::{
    store::{StoreReply, StoreRequest},
    writes::{Current, ObjectKey, Request, SendResult},
};
use apollo_wire::ProcessRef;

use crate::{
    facts::{MachineId, ReplicaId, Writer},
    network::Message,
};

/// Counts the lives of a process: each start is another one.
pub type Life = u32;

/// Work of one replica that runs against the store.
pub type WorkId = u64;

/// Something due.
#[derive(Debug)]
pub enum Event {
    /// The plan's action at this position begins.
    Action(usize),
    /// What it disturbed is over.
    DisturbanceOver(usize),
    /// Faults and workload are over.
    Quiet,
    /// A message is sent, for the first time or again.
    Transmit(Message, u32),
    /// A message arrives.
    Arrive(Message),
    /// A machine boots, or its agent is started.
    StartAgent(MachineId, Life),
    /// A machine's clock is set by a time server.
    SetClock(MachineId, Life),
    /// Something of an agent may be due.
    WakeAgent(MachineId, Life),
    /// The queue's transaction under way commits.
    Commit(MachineId, Life),
    /// Its result reaches the agent.
    Committed(MachineId, Life),
    /// The answer to this attempt has taken too long.
    Silence(MachineId, Life, u64),
    /// A child process ends by itself.
    RunEnds(MachineId, Life, ProcessRef, RunId, Exit),
    /// A replica starts.
    StartGateway(ReplicaId, Life),
    /// A store carries out a request of a replica.
    Execute(Life, WorkId, Writer, StoreRequest),
    /// A store carries out a request of a replica's queue of writes.
    Patch(ReplicaId, Life, Writer, Box<Request>),
    /// Its answer arrives, with the object as it was written.
    Patched(ReplicaId, Life, ObjectKey, SendResult, Option<Box<Current>>),
    /// A replica's queue of writes may send again.
    Pump(ReplicaId, Life),
    /// The store's answer arrives.
    Answered(ReplicaId, Life, WorkId, StoreReply),
    /// A pause of a machine of the core is over.
    PauseOver(ReplicaId, Life, WorkId),
    /// An exchange has taken too long.
    ExchangeTimeout(ReplicaId, Life, WorkId),
    /// The watch of a replica tells what has changed.
    Watch(ReplicaId, Life),
    /// The watch of a replica begins anew.
    WatchAgain(ReplicaId, Life),
    /// A replica looks at who has gone silent.
    Look(ReplicaId, Life),
}
