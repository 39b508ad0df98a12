//! The queue's promises (`docs/storage.md`), each kept at the limit and one past it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod batches;
mod damage;
mod desired;
mod files;
mod instances;
mod model;
mod overflow;
mod support;
mod verdicts;
mod views;
