//! The task that owns the children: one event at a time in, its effects out in order.

use std::{path::PathBuf, pin::pin, time::Duration};

use apollo_agent_core::{
    supervise::{DesiredItem, Effect, Event, Exit, Observed, RunId, Supervisor},
    time::Monotonic,
};
use apollo_wire::{DesiredState, ProcessRef, ProcessSpec, SpecHash};
use tokio::{
    signal::unix::Signal,
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    Orders, Setup, children::Children, left_overs, output, process_table, run_records::Records, spawn,
};
use crate::{
    clock,
    queue::{NewObservation, SupervisedProcess},
};

/// The end of a run, with all its output read.
struct RunEnded {
    process: ProcessRef,
    run: RunId,
    exit: Option<Exit>,
    last_output: Option<String>,
}

/// Runs until everything is stopped after an order to shut down.
pub(super) async fn supervise(
    setup: Setup,
    records: Records,
    observations: mpsc::Sender<NewObservation>,
    mut orders: watch::Receiver<Orders>,
    mut child_ended: Signal,
) {
    let left_overs = clean_up(&setup, &records).await;
    let mut task = Task::new(setup, records, observations);
    for observation in left_overs {
        task.send(observation).await;
    }
    let mut give_up_at: Option<Instant> = None;
    loop {
        if let Progress::AllStopped = task.perform_effects().await {
            return;
        }
        if task.nobody_listens && give_up_at.is_none() {
            // Nobody records any more, so nothing may run any more.
            give_up_at = Some(task.shut_down());
            continue;
        }
        let timer = task
            .supervisor
            .poll_timeout()
            .map(|at| task.origin + Duration::from_millis(at.as_millis()));
        let wake = pin!(sleep_until(
            timer
                .into_iter()
                .chain(give_up_at)
                .min()
                .unwrap_or_else(Instant::now)
        ));
        tokio::select! {
            // All of these are safe to drop: an order stays in the watch, a signal in its stream, an end in the set.
            changed = orders.changed(), if give_up_at.is_none() => {
                let order = orders.borrow_and_update().clone();
                if order.shutdown || changed.is_err() {
                    give_up_at = Some(task.shut_down());
                } else if let Some(desired) = order.desired {
                    task.desire(&desired);
                }
            }
            _ = child_ended.recv() => task.children.reap(),
            Some(Ok(ended)) = task.followers.join_next() => task.ended(ended).await,
            () = wake, if timer.is_some() || give_up_at.is_some() => {
                if give_up_at.is_some_and(|at| at <= Instant::now()) {
                    tracing::error!("processes that do not die are left behind");
                    return;
                }
                task.handle(Event::TimerFired);
            }
        }
    }
}

enum Progress {
    Going,
    AllStopped,
}

/// Stops what an earlier life left over; returns what to report of it.
async fn clean_up(setup: &Setup, records: &Records) -> Vec<NewObservation> {
    let known = records.list().await.unwrap_or_else(|error| {
        tracing::error!(%error, "the records of running processes cannot be read");
        Vec::new()
    });
    let stopped = left_overs::stop(&known, setup).await;
    for record in known {
        delete(records, record.process).await;
    }
    stopped
}

struct Task {
    setup: Setup,
    logs: PathBuf,
    /// Where the supervisor's clock starts.
    origin: Instant,
    supervisor: Supervisor,
    children: Children,
    followers: JoinSet<RunEnded>,
    records: Records,
    observations: mpsc::Sender<NewObservation>,
    /// The receiver of observations is gone.
    nobody_listens: bool,
}

impl Task {
    fn new(setup: Setup, records: Records, observations: mpsc::Sender<NewObservation>) -> Self {
        Self {
            logs: setup.data_dir.join("logs"),
            origin: Instant::now(),
            supervisor: Supervisor::new(setup.limits, setup.seed),
            children: Children::default(),
            followers: JoinSet::new(),
            setup,
            records,
            observations,
            nobody_listens: false,
        }
    }

    fn handle(&mut self, event: Event) {
        let millis = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.supervisor.handle(event, Monotonic::from_millis(millis));
    }

    fn desire(&mut self, desired: &DesiredState) {
        let mut items = Vec::with_capacity(desired.processes.len());
        for process in &desired.processes {
            match DesiredItem::read(process) {
                Ok(item) => items.push(item),
                Err(error) => tracing::warn!(%error, "a desired process is left out"),
            }
        }
        self.handle(Event::Desired(items));
    }

    /// Tells the supervisor, and says when to stop waiting.
    fn shut_down(&mut self) -> Instant {
        self.handle(Event::Shutdown);
        Instant::now() + self.setup.limits.shutdown_grace_max + self.setup.kill_wait
    }

    async fn perform_effects(&mut self) -> Progress {
        while let Some(effect) = self.supervisor.poll_effect() {
            match effect {
                Effect::Spawn {
                    process,
                    run,
                    spec_hash,
                    spec,
                } => self.spawn(process, run, spec_hash, &spec).await,
                Effect::Signal { process, run, signal } => {
                    tracing::info!(%process, ?signal, "stopping a process");
                    self.children.signal(run, signal);
                }
                Effect::Observe(observed) => self.observe(observed).await,
                Effect::Forget(process) => output::remove_logs(&self.logs, &process),
                Effect::LeftOut(count) => {
                    let most = self.setup.limits.processes;
                    tracing::error!(count, most, "the desired state names too many processes");
                }
                Effect::AllStopped => return Progress::AllStopped,
            }
        }
        Progress::Going
    }

    async fn spawn(&mut self, process: ProcessRef, run: RunId, spec_hash: SpecHash, spec: &ProcessSpec) {
        let event = match spawn::spawn(&process, spec, &self.setup.data_dir) {
            Ok((child, output)) => {
                let pid = child.id();
                let ended = self.children.add(run, child);
                let log = output::log_path(&self.logs, &process);
                let follow = output::follow(output, log, ended);
                let name = process.clone();
                self.followers.spawn(async move {
                    let (exit, last_output) = follow.await;
                    RunEnded {
                        process: name,
                        run,
                        exit,
                        last_output,
                    }
                });
                self.record(&process, pid, spec_hash).await;
                Event::Spawned { process, run, pid }
            }
            Err(error) => {
                let permanent = error.is_permanent();
                Event::SpawnFailed {
                    process,
                    run,
                    error: error.message(),
                    permanent,
                }
            }
        };
        self.handle(event);
    }

    /// Writes down that a child is alive, before anybody hears of it. Where that fails (the disk is full) it runs all
    /// the same: after a kill of the agent it is still found by its environment.
    async fn record(&self, process: &ProcessRef, pid: u32, spec_hash: SpecHash) {
        let Some(entry) = process_table::look_up(pid) else {
            return;
        };
        let record = SupervisedProcess {
            process: process.clone(),
            pid,
            pid_start_ticks: entry.start_ticks,
            boot_id: self.setup.boot_id.clone(),
            spec_hash,
        };
        if let Err(error) = self.records.put(record).await {
            tracing::error!(%process, %error, "the record of a running process cannot be written");
        }
    }

    async fn ended(&mut self, ended: RunEnded) {
        let RunEnded {
            process,
            run,
            exit,
            last_output,
        } = ended;
        let Some(exit) = exit else { return };
        delete(&self.records, process.clone()).await;
        self.handle(Event::Exited {
            process,
            run,
            exit,
            last_output,
        });
    }

    async fn observe(&mut self, observed: Observed) {
        let Observed {
            process,
            state,
            spec_hash,
            pid,
            exit_code,
            restarts,
            reason,
            message,
        } = observed;
        // Absent fields are left out of the line.
        let shown_state = state.map(tracing::field::debug);
        tracing::info!(%process, state = shown_state, pid, exit_code, reason = reason.as_str(), message, "process");
        let observation = NewObservation {
            state,
            spec_hash,
            pid,
            exit_code,
            restarts,
            reason: reason.as_str().to_owned(),
            message,
            ..NewObservation::new(process, &clock::read())
        };
        self.send(observation).await;
    }

    /// Waits while the channel is full: an observation is never lost to haste.
    async fn send(&mut self, observation: NewObservation) {
        self.nobody_listens = self.observations.send(observation).await.is_err();
    }
}

async fn delete(records: &Records, process: ProcessRef) {
    if let Err(error) = records.delete(process.clone()).await {
        tracing::error!(%process, %error, "the record of an ended process cannot be removed");
    }
}
