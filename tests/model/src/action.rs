//! What may happen next. Each action is one atomic step; a crash after a commit is an action of its own, for nothing else
//! could happen between the two.

use std::fmt;

/// One step of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// An agent does something.
    Agent(usize, AgentStep),
    /// A letter (by its place) meets its fate.
    Letter(usize, Fate),
    /// A replica has its next store step carried out.
    Store(usize, Fault),
    /// The queue of writes decides what becomes of those that wait.
    Send,
    /// The queue's request comes to its end.
    Sent(Fault),
    /// Somebody else does something.
    Outside(Outside),
}

/// How a write of the agent to its disk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// It is on disk, and the agent goes on.
    Written,
    /// It is on disk, and the agent is killed before it does anything else.
    WrittenThenKilled,
    /// The disk refuses.
    Refused,
}

/// A step of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentStep {
    /// Stores the next observation and confirms it.
    Observe(Disk),
    /// Takes a batch, notes what is offered, sends.
    Call(Disk),
    /// Gives up waiting.
    GiveUp,
    /// Sends the same report again on a new connection.
    SendAgain,
    /// Writes verdicts down.
    Settle(Disk),
    /// Starts a new instance.
    Renew(Disk),
    /// Has its queue purged.
    Purge,
    /// Is killed.
    Kill,
    /// Starts.
    Start,
    /// Its database is copied.
    Copy,
    /// Its database is replaced by the copy.
    Restore,
}

/// What becomes of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A report reaches this replica.
    Reaches(usize),
    /// A report reaches this replica, and is still on its way to another.
    ReachesAndGoesOn(usize),
    /// An answer arrives.
    Arrives,
    /// It is lost.
    Lost,
}

/// How a store step goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// As it should.
    None,
    /// The store refuses, nothing is done.
    Unavailable,
    /// It is done, and the answer is lost.
    AnswerLost,
    /// The replica is killed before it.
    Killed,
}

/// A step of the operator or of another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// Another controller writes its fields into a process's status.
    ForeignWrite(usize),
    /// A device is blocked.
    Block(usize),
    /// A device is let in again.
    Unblock(usize),
    /// A process is bound to the other device.
    Rebind(usize),
    /// A Device object is deleted.
    Delete(usize),
    /// A replica's cache stops following.
    Lag(usize),
    /// A replica's cache catches up.
    CatchUp(usize),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(agent, step) => write!(f, "agent {agent} {step}"),
            Self::Letter(place, Fate::Reaches(replica)) => {
                write!(f, "letter {place} reaches replica {replica}")
            }
            Self::Letter(place, Fate::ReachesAndGoesOn(replica)) => {
                write!(
                    f,
                    "letter {place} reaches replica {replica} and goes on to another"
                )
            }
            Self::Letter(place, Fate::Arrives) => write!(f, "letter {place} arrives"),
            Self::Letter(place, Fate::Lost) => write!(f, "letter {place} is lost"),
            Self::Store(replica, Fault::None) => write!(f, "replica {replica}: the store does it"),
            Self::Store(replica, Fault::Unavailable) => {
                write!(f, "replica {replica}: the store is unavailable")
            }
            Self::Store(replica, Fault::AnswerLost) => {
                write!(f, "replica {replica}: the store does it, its answer is lost")
            }
            Self::Store(replica, Fault::Killed) => write!(f, "replica {replica} is killed"),
            Self::Send => write!(f, "the queue of writes goes on"),
            Self::Sent(fault) => write!(f, "the queue's request ends: {fault:?}"),
            Self::Outside(outside) => outside.fmt(f),
        }
    }
}

impl fmt::Display for AgentStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, disk) = match self {
            Self::Observe(disk) => ("stores an observation", Some(disk)),
            Self::Call(disk) => ("takes a batch and sends it", Some(disk)),
            Self::Settle(disk) => ("settles", Some(disk)),
            Self::Renew(disk) => ("starts a new instance", Some(disk)),
            Self::GiveUp => ("gives up waiting", None),
            Self::SendAgain => ("sends the same report on a new connection", None),
            Self::Purge => ("has its queue purged", None),
            Self::Kill => ("is killed", None),
            Self::Start => ("starts", None),
            Self::Copy => ("has its database copied", None),
            Self::Restore => ("has its database replaced by the copy", None),
        };
        f.write_str(what)?;
        match disk {
            None | Some(Disk::Written) => Ok(()),
            Some(Disk::WrittenThenKilled) => f.write_str(", and is killed right after the commit"),
            Some(Disk::Refused) => f.write_str(": the disk refuses"),
        }
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignWrite(process) => {
                write!(f, "another controller writes the status of process {process}")
            }
            Self::Block(device) => write!(f, "device {device} is blocked"),
            Self::Unblock(device) => write!(f, "device {device} is let in again"),
            Self::Rebind(process) => write!(f, "process {process} is bound to the other device"),
            Self::Delete(device) => write!(f, "device {device} is deleted"),
            Self::Lag(replica) => write!(f, "the cache of replica {replica} begins to lag"),
            Self::CatchUp(replica) => write!(f, "the cache of replica {replica} catches up"),
        }
    }
}
