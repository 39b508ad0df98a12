//! Deterministic simulation of Apollo: agents, gateways, links, disks, clocks and one store on a virtual clock.
//!
//! The decisions are those that ship: `apollo_agent_core`'s engine and supervisor, `apollo_gateway_core`'s exchange,
//! tracker, repairs and index, and the frames of `apollo_wire`. What drives them mirrors the drivers of `apollo-agent`
//! and `apollo-gateway`, step by step. Disks and the store are the twins that those programs' own tests compare with
//! SQLite.
//!
//! A history follows from its [`plan::Plan`] alone, which follows from a seed. [`checkers`] watch: they see facts about
//! disks, the store and what was said ([`facts::Fact`]), and know nothing of how the world works. [`counters`] say what was met,
//! so that silence of the checkers means something.
//!
//! ```text
//! plan ──> world ──facts──> checkers
//!            ├ agent/    machine, disk, clock, driver, client, supervisor      agent core
//!            ├ network/  links
//!            └ gateway/  requests, work, watch                                 gateway core
//! ```

pub mod agent;
pub mod checkers;
pub mod command;
pub mod counters;
pub mod facts;
pub mod gateway;
pub mod network;
pub mod plan;
pub mod run;
pub mod sabotage;
pub mod world;
