//! Exploring a scope, and telling what was found.

use std::{
    fmt,
    time::{Duration, Instant},
};

use stateright::{Checker, HasDiscoveries, Model};

use crate::{scope::Scope, system::System};

/// What exploring a scope came to.
#[derive(Debug)]
pub struct Explored {
    /// Its name.
    pub name: &'static str,
    /// States met, each as often as a step led to it.
    pub states: usize,
    /// Distinct states.
    pub distinct: usize,
    /// Steps on the longest of the shortest ways to a state.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// The first law found broken.
    pub broken: Option<Broken>,
    /// What should have been met and was not.
    pub missed: Vec<&'static str>,
}

/// A way to a state that should not be.
#[derive(Debug)]
pub struct Broken {
    /// Which law it breaks.
    pub law: &'static str,
    /// The steps.
    pub steps: Vec<String>,
}

/// Explores a scope in full, or until a law is broken. On one thread: then the search is breadth-first to the letter, the
/// way it reports is a shortest one, and the counts are the same in every run.
pub fn explore(scope: Scope) -> Explored {
    explore_up_to(scope, 0)
}

/// As [`explore`], but ends after some `most` states; 0 for all there are.
pub fn explore_up_to(scope: Scope, most: usize) -> Explored {
    let began = Instant::now();
    let name = scope.name;
    let checker = System::new(scope)
        .checker()
        .target_state_count(most)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let discoveries = checker.discoveries();
    let properties = checker.model().properties();
    let expects = |failure: bool| {
        let of_kind = properties
            .iter()
            .filter(move |property| property.expectation.discovery_is_failure() == failure);
        of_kind.map(|property| property.name)
    };
    let broken = expects(true)
        .filter_map(|law| Some((law, discoveries.get(law)?.clone().into_actions())))
        .min_by_key(|(_, steps)| steps.len())
        .map(|(law, steps)| Broken {
            law,
            steps: steps.iter().map(ToString::to_string).collect(),
        });
    Explored {
        name,
        states: checker.state_count(),
        distinct: checker.unique_state_count(),
        depth: checker.max_depth(),
        took: began.elapsed(),
        broken,
        missed: expects(false)
            .filter(|name| !discoveries.contains_key(name))
            .collect(),
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} states, {} distinct, depth {}, {:.1} s",
            self.name,
            self.states,
            self.distinct,
            self.depth,
            self.took.as_secs_f64()
        )?;
        if !self.missed.is_empty() {
            writeln!(f, "  never met: {}", self.missed.join(", "))?;
        }
        if let Some(broken) = &self.broken {
            writeln!(f, "  broken: {}", broken.law)?;
            for (number, step) in broken.steps.iter().enumerate() {
                writeln!(f, "  {:3}. {step}", number + 1)?;
            }
        }
        Ok(())
    }
}
