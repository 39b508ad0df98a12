//! Each rule of `docs/supervision.md` as a short history with its exact effects.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::{sync::Arc, time::Duration};

use apollo_agent_core::{
    supervise::{
        DesiredItem, Effect, Event, Exit, Limits, Observed, RunId, SpecDefect, StopSignal, Supervisor,
    },
    time::Monotonic,
};
use apollo_wire::{ProcessRef, ProcessSpec, RestartPolicy, SpecHash};

/// A supervisor, a clock and a way to read what it does.
struct Bench {
    supervisor: Supervisor,
    now_ms: u64,
}

fn process(name: &str) -> ProcessRef {
    ProcessRef::new("default", name).unwrap()
}

fn item(name: &str, generation: i64, hash: u8, change: impl FnOnce(&mut ProcessSpec)) -> DesiredItem {
    let json = r#"{"deviceRef":{"name":"d"},"command":["run"]}"#;
    let mut spec = serde_json::from_str(json).unwrap();
    change(&mut spec);
    DesiredItem {
        process: process(name),
        generation,
        spec_hash: SpecHash([hash; 8]),
        spec: Ok(Arc::new(spec)),
    }
}

fn simple(name: &str) -> DesiredItem {
    item(name, 1, 1, |_| {})
}

fn written(effect: Effect) -> String {
    match effect {
        Effect::Spawn { process, run, .. } => format!("spawn {} #{}", process.name(), run.0),
        Effect::Signal {
            process,
            signal: StopSignal::Term,
            ..
        } => format!("term {}", process.name()),
        Effect::Signal {
            process,
            signal: StopSignal::Kill,
            ..
        } => format!("kill {}", process.name()),
        Effect::Observe(observed) => {
            let Observed {
                process,
                state,
                spec_hash,
                exit_code,
                restarts,
                reason,
                message,
                ..
            } = observed;
            let state = state.map_or_else(|| "-".to_owned(), |state| format!("{state:?}"));
            let mut text = format!("{} {state} {}", process.name(), reason.as_str());
            text.push_str(&format!(" spec={}", spec_hash.map_or(0, |hash| hash.0[0])));
            if let Some(code) = exit_code {
                text.push_str(&format!(" exit={code}"));
            }
            if let Some(restarts) = restarts.filter(|restarts| *restarts > 0) {
                text.push_str(&format!(" restarts={restarts}"));
            }
            if !message.is_empty() {
                text.push_str(&format!(" {message:?}"));
            }
            text
        }
        Effect::Forget(process) => format!("forget {}", process.name()),
        Effect::LeftOut(count) => format!("left out {count}"),
        Effect::AllStopped => "all stopped".to_owned(),
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self {
            supervisor: Supervisor::new(limits, 7),
            now_ms: 0,
        }
    }

    fn handle(&mut self, event: Event) -> Vec<String> {
        self.supervisor.handle(event, Monotonic::from_millis(self.now_ms));
        std::iter::from_fn(|| self.supervisor.poll_effect())
            .map(written)
            .collect()
    }

    fn desire(&mut self, items: impl Into<Vec<DesiredItem>>) -> Vec<String> {
        self.handle(Event::Desired(items.into()))
    }

    fn spawned(&mut self, name: &str, run: u64) -> Vec<String> {
        self.handle(Event::Spawned {
            process: process(name),
            run: RunId(run),
            pid: 100,
        })
    }

    fn exited(&mut self, name: &str, run: u64, exit: Exit) -> Vec<String> {
        let last_output = Some("last words".to_owned());
        self.handle(Event::Exited {
            process: process(name),
            run: RunId(run),
            exit,
            last_output,
        })
    }

    fn failed_to_spawn(&mut self, name: &str, run: u64, permanent: bool) -> Vec<String> {
        let error = "no such file".to_owned();
        self.handle(Event::SpawnFailed {
            process: process(name),
            run: RunId(run),
            error,
            permanent,
        })
    }

    /// Goes to the moment the supervisor asked for, which must exist; says how long that took.
    fn wait(&mut self) -> (Duration, Vec<String>) {
        let at = self.supervisor.poll_timeout().expect("a timer is armed");
        let waited = at.since(Monotonic::from_millis(self.now_ms));
        self.now_ms = at.as_millis();
        (waited, self.handle(Event::TimerFired))
    }

    /// With these processes running, numbered in the order of their names.
    fn running(items: impl Into<Vec<DesiredItem>>) -> Self {
        let mut bench = Self::new();
        let items = items.into();
        let mut names: Vec<String> = items.iter().map(|item| item.process.name().to_owned()).collect();
        names.sort();
        bench.desire(items);
        for (index, name) in names.iter().enumerate() {
            bench.spawned(name, index as u64 + 1);
        }
        bench
    }
}

#[test]
fn a_desired_process_is_started_and_reported_once() {
    let mut bench = Bench::new();
    assert_eq!(bench.desire([simple("a")]), ["spawn a #1"]);
    assert_eq!(bench.spawned("a", 1), ["a Running Started spec=1"]);
    assert_eq!(bench.desire([simple("a")]), [] as [&str; 0]);
    assert_eq!(bench.supervisor.poll_timeout(), None);
}

#[test]
fn the_restart_policy_decides_what_follows_an_exit() {
    use RestartPolicy::{Always, Never, OnFailure};
    for (policy, exit, expected) in [
        (Always, Exit::Code(0), "a Backoff BackingOff spec=1 exit=0"),
        (
            Always,
            Exit::Code(3),
            "a Backoff BackingOff spec=1 exit=3 \"last words\"",
        ),
        (OnFailure, Exit::Code(0), "a Succeeded Exited spec=1 exit=0"),
        (
            OnFailure,
            Exit::Signal(9),
            "a Backoff BackingOff spec=1 exit=137 \"last words\"",
        ),
        (Never, Exit::Code(0), "a Succeeded Exited spec=1 exit=0"),
        (
            Never,
            Exit::Signal(15),
            "a Failed Exited spec=1 exit=143 \"last words\"",
        ),
    ] {
        let mut bench = Bench::running([item("a", 1, 1, |spec| spec.restart_policy = policy)]);
        assert_eq!(bench.exited("a", 1, exit), [expected], "{policy:?} {exit:?}");
    }
}

#[test]
fn a_crash_loop_waits_longer_each_time_up_to_the_cap_and_says_so() {
    let mut bench = Bench::running([simple("a")]);
    let mut reasons = Vec::new();
    for run in 1..=12 {
        let said = bench.exited("a", run, Exit::Code(1));
        reasons.push(said[0].split(' ').nth(2).unwrap().to_owned());
        let (waited, effects) = bench.wait();
        let step = Duration::from_secs(1 << (run - 1).min(20)).min(Duration::from_secs(300));
        assert!(waited >= step / 2 && waited <= step, "run {run}: {waited:?}");
        assert_eq!(effects, [format!("spawn a #{}", run + 1)]);
        assert_eq!(
            bench.spawned("a", run + 1),
            [format!("a Running Started spec=1 restarts={run}")]
        );
    }
    assert_eq!(reasons[..3], ["BackingOff", "BackingOff", "CrashLoop"]);
}

#[test]
fn a_run_that_lived_long_enough_resets_the_backoff_and_one_a_millisecond_shorter_does_not() {
    let healthy_ms = 600_000;
    for (lived_ms, longest_wait_seconds) in [(healthy_ms, 1), (healthy_ms - 1, 8)] {
        let mut bench = Bench::running([simple("a")]);
        for run in 1..=3 {
            bench.exited("a", run, Exit::Code(1));
            bench.wait();
            bench.spawned("a", run + 1);
        }
        bench.now_ms += lived_ms;
        bench.exited("a", 4, Exit::Code(1));
        let (waited, _) = bench.wait();
        let longest = Duration::from_secs(longest_wait_seconds);
        assert!(
            waited >= longest / 2 && waited <= longest,
            "{lived_ms}: {waited:?}"
        );
    }
}

#[test]
fn a_removal_is_stopped_with_grace_and_an_addition_waits_for_it() {
    let mut bench = Bench::running([simple("old")]);
    assert_eq!(bench.desire([simple("new")]), ["term old"]);
    let (waited, effects) = bench.wait();
    assert_eq!(
        (waited, effects),
        (Duration::from_secs(10), vec!["kill old".to_owned()])
    );
    assert_eq!(
        bench.exited("old", 1, Exit::Signal(9)),
        [
            "old Stopped Removed spec=1 exit=137",
            "forget old",
            "spawn new #2"
        ]
    );
}

#[test]
fn a_restart_does_not_wait_for_the_removal_of_another() {
    let mut bench = Bench::running([simple("a"), simple("old")]);
    bench.exited("a", 1, Exit::Code(1));
    assert_eq!(bench.desire([simple("a")]), ["term old"]);
    assert_eq!(bench.wait().1, ["spawn a #3"]);
}

#[test]
fn a_changed_spec_stops_the_old_run_before_the_new_one_starts() {
    let mut bench = Bench::running([item("a", 1, 1, |spec| spec.stop_grace_period_seconds = 3)]);
    assert_eq!(bench.desire([item("a", 2, 2, |_| {})]), ["term a"]);
    assert_eq!(
        bench.wait(),
        (Duration::from_secs(3), vec!["kill a".to_owned()]),
        "the old run's grace"
    );
    assert_eq!(
        bench.exited("a", 1, Exit::Signal(9)),
        ["a Pending Replaced spec=1 exit=137", "spawn a #2"]
    );
    assert_eq!(bench.spawned("a", 2), ["a Running Started spec=2"]);
}

#[test]
fn a_change_overtaken_while_stopping_never_runs() {
    let mut bench = Bench::running([simple("a")]);
    assert_eq!(bench.desire([item("a", 2, 2, |_| {})]), ["term a"]);
    assert_eq!(bench.desire([item("a", 3, 3, |_| {})]), [] as [&str; 0]);
    assert_eq!(
        bench.exited("a", 1, Exit::Code(0)),
        ["a Pending Replaced spec=1 exit=0", "spawn a #2"]
    );
    assert_eq!(bench.spawned("a", 2), ["a Running Started spec=3"]);
}

#[test]
fn a_removal_taken_back_while_stopping_starts_anew() {
    let mut bench = Bench::running([simple("a")]);
    assert_eq!(bench.desire([]), ["term a"]);
    assert_eq!(bench.desire([simple("a")]), [] as [&str; 0]);
    assert_eq!(
        bench.exited("a", 1, Exit::Code(0)),
        ["a Pending Replaced spec=1 exit=0", "spawn a #2"]
    );
}

#[test]
fn a_run_overtaken_before_it_started_is_stopped_as_soon_as_it_has() {
    let mut bench = Bench::new();
    bench.desire([simple("a")]);
    assert_eq!(bench.desire([]), [] as [&str; 0]);
    assert_eq!(bench.spawned("a", 1), ["term a"]);
    assert_eq!(
        bench.exited("a", 1, Exit::Signal(15)),
        ["a Stopped Removed spec=1 exit=143", "forget a"]
    );
}

#[test]
fn results_of_an_old_run_change_nothing() {
    let mut bench = Bench::running([simple("a")]);
    bench.exited("a", 1, Exit::Code(1));
    bench.wait();
    bench.spawned("a", 2);
    for effects in [
        bench.exited("a", 1, Exit::Code(1)),
        bench.spawned("a", 1),
        bench.spawned("a", 2),
        bench.failed_to_spawn("a", 1, true),
        bench.exited("stranger", 2, Exit::Code(0)),
    ] {
        assert_eq!(effects, [] as [&str; 0]);
    }
}

#[test]
fn suspend_stops_and_its_end_starts_again() {
    let suspended = |generation, hash| item("a", generation, hash, |spec| spec.suspend = true);
    let mut bench = Bench::running([simple("a")]);
    assert_eq!(bench.desire([suspended(2, 2)]), ["term a"]);
    assert_eq!(
        bench.exited("a", 1, Exit::Code(0)),
        ["a Stopped Suspended spec=2 exit=0"]
    );
    assert_eq!(bench.desire([item("a", 3, 3, |_| {})]), ["spawn a #2"]);
    let mut fresh = Bench::new();
    assert_eq!(fresh.desire([suspended(1, 1)]), ["a Stopped Suspended spec=1"]);
}

#[test]
fn an_invalid_spec_is_reported_by_field_and_holds_up_nobody() {
    let defect = SpecDefect {
        field: "spec.env[0].name".to_owned(),
        problem: "expected a name without '='".to_owned(),
    };
    let invalid = DesiredItem {
        spec: Err(defect),
        ..item("bad", 2, 2, |_| {})
    };
    let mut bench = Bench::new();
    assert_eq!(
        bench.desire([invalid.clone(), simple("good")]),
        [
            "bad Failed SpecInvalid spec=2 \"spec.env[0].name: expected a name without '='\"",
            "spawn good #1"
        ]
    );
    let mut bench = Bench::running([simple("bad")]);
    assert_eq!(
        bench.desire([invalid]),
        ["term bad"],
        "what runs is no longer what is asked for"
    );
    let said = bench.exited("bad", 1, Exit::Code(0));
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with("bad Failed SpecInvalid spec=2 exit=0 "),
        "{said:?}"
    );
}

#[test]
fn a_failed_start_is_tried_again_unless_that_cannot_help() {
    let mut bench = Bench::new();
    bench.desire([simple("a")]);
    assert_eq!(
        bench.failed_to_spawn("a", 1, false),
        ["a Backoff SpawnFailed spec=1 \"no such file\""]
    );
    assert_eq!(bench.wait().1, ["spawn a #2"]);
    assert_eq!(
        bench.failed_to_spawn("a", 2, true),
        ["a Failed SpawnFailed spec=1 restarts=1 \"no such file\""]
    );
    let mut once = Bench::new();
    once.desire([item("a", 1, 1, |spec| spec.restart_policy = RestartPolicy::Never)]);
    assert_eq!(
        once.failed_to_spawn("a", 1, false),
        ["a Failed SpawnFailed spec=1 \"no such file\""]
    );
}

#[test]
fn an_older_generation_is_refused_until_it_has_stood_for_a_while() {
    let mut bench = Bench::running([item("a", 5, 5, |_| {})]);
    let older = || [item("a", 4, 4, |_| {})];
    assert_eq!(
        bench.desire(older()),
        ["a - StaleGeneration spec=4 \"generation 4 after 5\""]
    );
    assert_eq!(bench.desire(older()), [] as [&str; 0], "said once");
    bench.now_ms = 119_999;
    assert_eq!(bench.handle(Event::TimerFired), [] as [&str; 0]);
    assert_eq!(bench.desire([item("a", 5, 5, |_| {})]), [] as [&str; 0]);
    assert_eq!(bench.supervisor.poll_timeout(), None, "the replica caught up");
    bench.desire(older());
    let (waited, effects) = bench.wait();
    assert_eq!(
        (waited, effects),
        (Duration::from_secs(120), vec!["term a".to_owned()])
    );
}

#[test]
fn an_equal_generation_with_another_spec_is_reported_and_held() {
    let mut bench = Bench::running([item("a", 1, 1, |_| {})]);
    let conflicting = [item("a", 1, 9, |_| {})];
    assert_eq!(
        bench.desire(conflicting),
        ["a - GenerationConflict spec=9 \"another spec for generation 1\""]
    );
    assert_eq!(
        bench.desire([item("a", 2, 2, |_| {})]),
        ["term a"],
        "a higher one ends the doubt"
    );
}

#[test]
fn a_newer_generation_of_the_same_spec_disturbs_nothing() {
    let mut bench = Bench::running([item("a", 1, 1, |_| {})]);
    assert_eq!(bench.desire([item("a", 2, 1, |_| {})]), [] as [&str; 0]);
    assert_eq!(
        bench.desire([item("a", 1, 1, |_| {})]).len(),
        1,
        "and is known from then on"
    );
}

#[test]
fn shutdown_stops_everything_with_a_capped_grace_and_starts_nothing() {
    let mut bench = Bench::running([
        item("slow", 1, 1, |spec| spec.stop_grace_period_seconds = 3_600),
        simple("crashed"),
    ]);
    bench.exited("crashed", 1, Exit::Code(1));
    assert_eq!(
        bench.handle(Event::Shutdown),
        ["crashed Stopped AgentStopping spec=1", "term slow"]
    );
    assert_eq!(bench.desire([simple("late")]), [] as [&str; 0]);
    assert_eq!(
        bench.wait(),
        (Duration::from_secs(60), vec!["kill slow".to_owned()])
    );
    assert_eq!(
        bench.exited("slow", 2, Exit::Signal(9)),
        ["slow Stopped AgentStopping spec=1 exit=137", "all stopped"]
    );
}

#[test]
fn shutdown_with_nothing_alive_is_complete_at_once() {
    assert_eq!(Bench::new().handle(Event::Shutdown), ["all stopped"]);
}

#[test]
fn a_document_at_the_limit_is_taken_whole_and_one_past_it_in_part() {
    let limits = Limits {
        processes: 2,
        ..Limits::default()
    };
    let three = || [simple("a"), simple("b"), simple("c")];
    assert_eq!(
        Bench::with(limits).desire(three()[..2].to_vec()),
        ["spawn a #1", "spawn b #2"]
    );
    assert_eq!(
        Bench::with(limits).desire(three()),
        ["left out 1", "spawn a #1", "spawn b #2"]
    );
}

#[test]
fn a_process_named_twice_runs_once() {
    assert_eq!(
        Bench::new().desire([simple("a"), item("a", 2, 2, |_| {})]),
        ["spawn a #1"]
    );
}
