//! Exhaustive model checking of the agent's and the gateway's decisions: every order of events of a small world.
//!
//! **What runs** is the shipped code, not a copied model: the agent's `Engine` (`agent/core`) on the queue's twin, the
//! gateway's `Exchange`, and in one scope its `WriteQueue` (`gateway/core`), on the store's twin (`tests/twins`, held to the real ones by tests of their own).
//! What stands between them in this crate is what stands between them in the programs: the agent's driver ([`steps`]), the
//! network ([`world::letter`]), an operator and another controller, and whoever pulls plugs.
//!
//! **What is explored** is every interleaving. Each replica advances one store step at a time; letters arrive in any
//! order, get lost and arrive twice; an agent may be killed before and after each commit. A [`scope::Scope`] says who takes
//! part and how often what may go wrong; [`scopes`] has those that the tests explore. The search is breadth-first
//! (stateright), so a broken [`rules::laws::Law`] is reported with a shortest way that leads there.
//!
//! # What is left out, and why nothing is lost by it
//! - **Time** stands still, and every duration of the agent is zero: a timer is due as soon as it is armed, so it may fire
//!   before or after anything else. Real durations only forbid some of these orders. What depends on how much time has
//!   passed (heartbeats that are due, staleness, ages) has tests of its own.
//! - **Numbers that only grow** are no part of a state. Of an engine its `Situation` counts: not the number of its
//!   exchange, which is compared for equality with the one running exchange alone; not the moments of timers, which are
//!   always due; not jitter and backoff, which only make durations. Of an object's version the number of writes to that
//!   object counts, not the store's revision: versions are compared for equality, of one object at a time
//!   ([`world::store`]). Sequences, epochs and instances are kept as they are: they are compared for order, and bounded by
//!   what a scope lets happen.
//! - **Who listens.** An answer belongs to a stream. Once its agent has given up, has been killed or has sent again, nobody
//!   reads that stream, so such answers are not kept, and reports only know whether they are awaited
//!   ([`world::letter`]). Attempts therefore need no numbers.
//! - **Replicas** are alike but for what they work on and what their caches show; two states that differ by which is which
//!   are one.
//! - **Steps joined into one**, because nothing else can see what is between: a timer that fires and the batch it makes the
//!   agent take; a pause after a conflict and its end; verdicts and the letter that carries them.
//! - **A queue of writes** is made anew for each step of what waits and what is under way ([`world::queue`]): its turns, rate
//!   and bounds decide nothing where one device writes one process, and have tests of their own.
//! - **The digest** of a state has 64 bits. Among two million states two have the same with a chance of one in ten
//!   million.
//! - **Not in it at all**: the desired state, the tracker and its marks, bytes and frames, the supervisor.

pub mod action;
pub mod cast;
pub mod check;
pub mod drain;
pub mod met;
pub mod rules;
pub mod sabotage;
pub mod scope;
pub mod scopes;
pub mod shared;
pub mod steps;
pub mod system;
pub mod world;
