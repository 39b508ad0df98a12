//! Many objects, created by some threads at once.

use std::{panic, thread};

use anyhow::Result;
use serde_json::Value;

/// Threads that create objects.
const CREATORS: usize = 8;

/// Has each of `items` created.
pub(crate) fn create<T: Sync>(items: &[T], one: impl Fn(&T) -> Result<Value> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let parts = items.chunks(items.len().div_ceil(CREATORS).max(1));
        let creating = parts.map(|part| scope.spawn(|| part.iter().try_for_each(|item| one(item).map(drop))));
        let creating: Vec<_> = creating.collect();
        let mut all = Ok(());
        for part in creating {
            all = all.and(part.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
        }
        all
    })
}
