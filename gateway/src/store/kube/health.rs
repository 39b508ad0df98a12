//! Whether the API server does what it is asked: one line when it begins to fail, one when it works again, and a word
//! for `/readyz`.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::failure::Doing;
use crate::events;

/// How long a failure counts. Without traffic nothing is asked that could show the API server working again, and a
/// gateway that is not ready gets no traffic.
const COUNTS_FOR: Duration = Duration::from_secs(15);

/// What the last requests of each sort came to: a permission may be missing for one verb alone.
#[derive(Debug, Default)]
pub(super) struct Health {
    failing: Mutex<HashMap<Doing, (String, Instant)>>,
}

impl Health {
    /// A request was carried out.
    pub(super) fn working(&self, doing: Doing) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.remove(&doing).is_some() {
            events::ApiServerWorksAgain {
                verb: doing.verb,
                resource: &doing.resource(),
            }
            .emit();
        }
    }

    /// A request was not, for the reason in `line`.
    pub(super) fn failing(&self, doing: Doing, line: String, now: Instant) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if !failing.contains_key(&doing) {
            events::ApiServerFails { line: &line }.emit();
        }
        failing.insert(doing, (line, now));
    }

    /// Why requests fail, if some do.
    pub(super) fn problem(&self, now: Instant) -> Option<String> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut recent = failing
            .values()
            .filter(|(_, since)| now.saturating_duration_since(*since) <= COUNTS_FOR);
        recent.next().map(|(line, _)| line.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Kind;

    #[test]
    fn a_failure_counts_until_the_same_thing_works_or_for_a_while() {
        let (health, now) = (Health::default(), Instant::now());
        let [patch, list] = ["patch", "list"].map(|verb| Doing::to(verb, Kind::Device));
        assert_eq!(health.problem(now), None);
        health.failing(patch, "no".to_owned(), now);
        health.working(list);
        assert_eq!(health.problem(now + COUNTS_FOR).as_deref(), Some("no"));
        assert_eq!(health.problem(now + COUNTS_FOR + Duration::from_millis(1)), None);
        health.working(patch);
        assert_eq!(health.problem(now), None);
    }
}
