//! The promise: each observation in the gateway exactly once.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

/// How the gateway's history compares with what the device queued.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    queued: u64,
    missing: Vec<u64>,
    repeated: Vec<u64>,
}

/// Compares the gateway's observations of a device with its queue's sequences 1 to `last`: the queue numbers its rows
/// without holes, so each of them must be there, once.
pub(super) fn exactly_once(observations: &[Value], instance: &str, last: u64) -> Outcome {
    let mut times: BTreeMap<u64, u32> = BTreeMap::new();
    for observation in observations
        .iter()
        .filter(|observation| observation["instance"] == instance)
    {
        *times
            .entry(observation["seq"].as_u64().unwrap_or_default())
            .or_default() += 1;
    }
    Outcome {
        queued: last,
        missing: (1..=last).filter(|seq| !times.contains_key(seq)).collect(),
        repeated: times
            .into_iter()
            .filter(|(_, times)| *times > 1)
            .map(|(seq, _)| seq)
            .collect(),
    }
}

impl Outcome {
    pub(super) fn is_good(&self) -> bool {
        self.queued > 0 && self.missing.is_empty() && self.repeated.is_empty()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_good() {
            return write!(
                f,
                "{} observations queued, each of them in the gateway exactly once",
                self.queued
            );
        }
        let Self {
            queued,
            missing,
            repeated,
        } = self;
        write!(
            f,
            "of {queued} observations queued, missing: {missing:?}, more than once: {repeated:?}"
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_missing_and_a_repeated_observation_are_named() {
        let seen = |seq: u64, instance: &str| json!({"seq": seq, "instance": instance});
        assert!(exactly_once(&[seen(1, "a"), seen(2, "a"), seen(1, "b")], "a", 2).is_good());
        let bad = exactly_once(&[seen(1, "a"), seen(3, "a"), seen(3, "a"), seen(2, "b")], "a", 3);
        assert_eq!(
            bad,
            Outcome {
                queued: 3,
                missing: vec![2],
                repeated: vec![3]
            }
        );
        assert!(!exactly_once(&[], "a", 0).is_good());
    }
}
