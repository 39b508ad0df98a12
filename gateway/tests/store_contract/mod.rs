//! What every store must do, whatever it is made of: written against `impl Store` and run for each of them.

mod history;

use std::{collections::BTreeMap, time::Duration};

use apollo_gateway::store::{Change, Store};
use apollo_gateway_core::{
    join::{Candidate, StateSource, StatusJoin},
    object::{Condition, DeviceState, DeviceStatus, ProcessObject, ResourceVersion, SyncPoint, Versioned},
    store::{Freshness, StatusWrite, StoreReply, StoreRequest, WriteOutcome},
};
use apollo_wire::{Observation, ProcessRef, ProcessState, UnixMillis};
use tokio::sync::mpsc;

use crate::store_values::{device, process};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A store under test: two handles as two replicas would have them, and the way operators change objects.
pub(crate) trait Replicas {
    /// Its kind of store.
    type Store: Store;
    /// The first replica's handle.
    fn first(&self) -> &Self::Store;
    /// The second replica's handle.
    fn second(&self) -> &Self::Store;
    /// `apply -f`.
    fn apply(&self, yaml: &str) -> impl Future<Output = ()>;
    /// `delete deviceprocess`.
    fn delete_process(&self, process: &ProcessRef) -> impl Future<Output = ()>;
    /// Another controller puts a condition of its own type into the status of a process that is bound to the device of
    /// these tests. It says no more than a condition must.
    fn put_condition_of_another(&self, process: &ProcessRef, kind: &str) -> impl Future<Output = ()> {
        async move {
            let read = bound(self.first(), "buoy", &[process.name()]).await.remove(0);
            let mut put = seen(&read, 1);
            put.status = read.object.status.clone();
            put.status.conditions.push(condition_of_another(kind));
            let outcome = write(self.first(), put).await;
            assert!(matches!(outcome, WriteOutcome::Written(_)), "{outcome:?}");
        }
    }
}

/// A condition as another controller may write it.
pub(crate) fn condition_of_another(kind: &str) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status: "True".to_owned(),
        reason: String::new(),
        message: String::new(),
        last_transition_time: None,
        observed_generation: None,
    }
}

/// A DeviceProcess as YAML.
pub(crate) fn process_yaml(name: &str, device: &str, program: &str) -> String {
    format!(
        "apiVersion: apollo.azure.com/v1alpha1\nkind: DeviceProcess\nmetadata: {{name: {name}}}\n\
         spec: {{deviceRef: {{name: {device}}}, command: [\"{program}\"]}}\n---\n"
    )
}

pub(crate) async fn bound(
    store: &impl Store,
    device_name: &str,
    named: &[&str],
) -> Vec<Versioned<ProcessObject>> {
    let request = StoreRequest::ReadProcesses {
        device: device(device_name),
        named: named.iter().map(|name| process(name)).collect(),
        freshness: Freshness::Authoritative,
    };
    match store.execute(request).await {
        StoreReply::Processes(processes) => processes,
        other => panic!("{other:?}"),
    }
}

/// A write of what a device saw; `restarts` is also its place among what the device saw.
pub(crate) fn seen(read: &Versioned<ProcessObject>, restarts: u32) -> StatusWrite {
    let mut observation = Observation::new(
        restarts.into(),
        read.object.process.clone(),
        UnixMillis::saturating(1_000),
    );
    observation.state = Some(ProcessState::Running);
    observation.restarts = Some(restarts);
    let join = StatusJoin {
        candidate: Some(Candidate {
            sync: SyncPoint {
                epoch: 1,
                sequence: restarts.into(),
            },
            observation,
            corrected_at: None,
        }),
        device_state: DeviceState::Connected,
        // Such a write is never carried over to a version it was not computed from.
        state_from: StateSource::DeviceObject,
        now: UnixMillis::saturating(2_000),
    };
    StatusWrite {
        process: read.object.process.clone(),
        expected: read.version.clone(),
        status: join.onto(&read.object).unwrap(),
        join,
    }
}

/// Writes the status of a process that is bound to the device of these tests.
pub(crate) async fn write(store: &impl Store, write: StatusWrite) -> WriteOutcome {
    let request = StoreRequest::ReplaceProcessStatuses {
        device: device("buoy"),
        writes: vec![write],
    };
    match store.execute(request).await {
        StoreReply::StatusesWritten(outcomes) => outcomes.into_iter().next().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// G-03: of two writes computed from the same version one is done, the other changes nothing.
pub(crate) async fn a_status_write_needs_the_version_it_was_computed_from(replicas: &impl Replicas) {
    replicas.apply(&process_yaml("p", "buoy", "true")).await;
    let read = bound(replicas.first(), "buoy", &[]).await.remove(0);
    let first = write(replicas.first(), seen(&read, 1)).await;
    assert!(matches!(first, WriteOutcome::Written(_)), "{first:?}");
    assert_eq!(
        write(replicas.second(), seen(&read, 2)).await,
        WriteOutcome::Conflict
    );
    let now = bound(replicas.second(), "buoy", &[]).await.remove(0);
    assert_eq!(now.object.status.restarts, Some(1));
    assert_eq!(WriteOutcome::Written(now.version.clone()), first);
    assert_eq!(
        (now.object.generation, &now.object.spec),
        (read.object.generation, &read.object.spec)
    );
    replicas.delete_process(&process("p")).await;
    assert_eq!(write(replicas.first(), seen(&now, 3)).await, WriteOutcome::Gone);
}

/// G-03: two replicas that re-read and try again after a conflict lose no update.
pub(crate) async fn two_replicas_at_once_lose_no_update(replicas: &impl Replicas) {
    const EACH: u32 = 100;
    replicas.apply(&process_yaml("p", "buoy", "true")).await;
    let add = async |store: &_| {
        for _ in 0..EACH {
            loop {
                let read = bound(store, "buoy", &[]).await.remove(0);
                let restarts = read.object.status.restarts.unwrap_or(0) + 1;
                if matches!(
                    write(store, seen(&read, restarts)).await,
                    WriteOutcome::Written(_)
                ) {
                    break;
                }
            }
        }
    };
    tokio::join!(add(replicas.first()), add(replicas.second()));
    let end = bound(replicas.first(), "buoy", &[]).await.remove(0);
    assert_eq!(end.object.status.restarts, Some(2 * EACH));
}

/// Fields of other writers survive being read and written. An API server has none: it drops what the schema does
/// not know.
#[allow(dead_code, reason = "not for the Kubernetes store")]
pub(crate) async fn foreign_fields_of_a_status_are_kept(replicas: &impl Replicas) {
    replicas.apply(&process_yaml("p", "buoy", "true")).await;
    let read = bound(replicas.first(), "buoy", &[]).await.remove(0);
    let mut first = seen(&read, 1);
    first
        .status
        .foreign
        .insert("somebodyElse".to_owned(), serde_json::json!({"a": [1]}));
    let status = first.status.clone();
    write(replicas.first(), first).await;
    assert_eq!(
        bound(replicas.second(), "buoy", &[])
            .await
            .remove(0)
            .object
            .status,
        status
    );
}

/// A condition of another controller survives what the gateway writes, whichever replica does, and a write that was
/// computed before it was there is a conflict.
pub(crate) async fn conditions_of_others_are_kept(replicas: &impl Replicas) {
    replicas.apply(&process_yaml("p", "buoy", "true")).await;
    let before = bound(replicas.first(), "buoy", &[]).await.remove(0);
    replicas.put_condition_of_another(&process("p"), "Audited").await;
    assert_eq!(
        write(replicas.second(), seen(&before, 1)).await,
        WriteOutcome::Conflict
    );
    for (replica, restarts) in [(replicas.first(), 2), (replicas.second(), 3)] {
        let read = bound(replica, "buoy", &[]).await.remove(0);
        let written = write(replica, seen(&read, restarts)).await;
        assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
        let status = bound(replicas.first(), "buoy", &[]).await.remove(0).object.status;
        assert_eq!(status.restarts, Some(restarts));
        assert!(
            status.conditions.contains(&condition_of_another("Audited")),
            "{status:?}"
        );
        assert_eq!(
            status
                .conditions
                .iter()
                .filter(|one| one.kind == "AgentConnected")
                .count(),
            1
        );
    }
}

/// A Device's status is replaced only at the version it was computed from; what is gone is gone.
pub(crate) async fn a_device_status_needs_the_version_it_was_computed_from(replicas: &impl Replicas) {
    let status = |agent: &str| DeviceStatus {
        agent_version: Some(agent.to_owned()),
        ..DeviceStatus::default()
    };
    let create = StoreRequest::CreateDevice {
        device: device("buoy"),
        status: Box::new(status("one")),
    };
    let StoreReply::Written(WriteOutcome::Written(first)) = replicas.first().execute(create).await else {
        panic!("a device can be created");
    };
    let replace = |expected: &ResourceVersion, agent: &str| StoreRequest::ReplaceDeviceStatus {
        device: device("buoy"),
        expected: expected.clone(),
        status: Box::new(status(agent)),
    };
    let read = StoreRequest::ReadDevice {
        device: device("buoy"),
        freshness: Freshness::Authoritative,
    };
    // The second replica has to have met the version: a write is computed from what was read.
    let StoreReply::Device(Some(met)) = replicas.second().execute(read).await else {
        panic!("a device can be read");
    };
    assert_eq!(met.version, first);
    let second = replicas.second().execute(replace(&first, "two")).await;
    assert!(
        matches!(second, StoreReply::Written(WriteOutcome::Written(_))),
        "{second:?}"
    );
    let late = replicas.first().execute(replace(&first, "three")).await;
    assert_eq!(late, StoreReply::Written(WriteOutcome::Conflict));
}

/// A Device is created once; the second replica's attempt is a conflict.
pub(crate) async fn a_device_is_created_once(replicas: &impl Replicas) {
    let create = |agent: &str| StoreRequest::CreateDevice {
        device: device("buoy"),
        status: Box::new(DeviceStatus {
            agent_version: Some(agent.to_owned()),
            ..DeviceStatus::default()
        }),
    };
    let first = replicas.first().execute(create("one")).await;
    assert!(
        matches!(first, StoreReply::Written(WriteOutcome::Written(_))),
        "{first:?}"
    );
    let second = replicas.second().execute(create("two")).await;
    assert_eq!(second, StoreReply::Written(WriteOutcome::Conflict));
    let read = StoreRequest::ReadDevice {
        device: device("buoy"),
        freshness: Freshness::Authoritative,
    };
    match replicas.second().execute(read).await {
        StoreReply::Device(Some(read)) => {
            assert_eq!(read.object.status.agent_version.as_deref(), Some("one"));
        }
        other => panic!("{other:?}"),
    }
}

/// The DeviceProcesses of a device and those named, each once, and no others.
pub(crate) async fn processes_are_read_by_device_and_by_name(replicas: &impl Replicas) {
    for (name, device) in [("a", "buoy"), ("b", "buoy"), ("c", "truck"), ("d", "truck")] {
        replicas.apply(&process_yaml(name, device, "true")).await;
    }
    let read = bound(replicas.first(), "buoy", &["b", "c", "c", "missing"]).await;
    let mut names: Vec<&str> = read.iter().map(|read| read.object.process.name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "b", "c"]);
}

/// Parts of the contract that a history without objects keeps as well.
macro_rules! of_history {
    ($($name:ident),+ $(,)?) => {$(
        /// See the function of this name in `history`.
        pub(crate) async fn $name(replicas: &impl Replicas) {
            let (first, second) = (replicas.first(), replicas.second());
            history::$name(async |r| first.execute(r).await, async |r| second.execute(r).await).await;
        }
    )+};
}

of_history!(
    history_is_a_set,
    history_refuses_another_observation_under_the_same_sequence,
    the_ends_of_the_sequences_fit,
);

/// G-05: a watch tells what exists, then Synced, then every change, also of the other replica.
pub(crate) async fn a_watch_tells_of_changes_by_every_replica(replicas: &impl Replicas) {
    replicas.apply(&process_yaml("gone", "buoy", "true")).await;
    replicas.delete_process(&process("gone")).await;
    replicas.apply(&process_yaml("a", "buoy", "true")).await;
    let mut watch = replicas.second().watch();
    let mut known = BTreeMap::new();
    follow(&mut watch, &mut known, |_, synced| synced).await;
    assert_eq!(known.keys().map(ProcessRef::name).collect::<Vec<_>>(), ["a"]);

    let read = bound(replicas.first(), "buoy", &[]).await.remove(0);
    write(replicas.first(), seen(&read, 7)).await;
    follow(&mut watch, &mut known, |known, _| {
        known[&process("a")].status.restarts == Some(7)
    })
    .await;
    replicas.apply(&process_yaml("a", "truck", "false")).await;
    follow(&mut watch, &mut known, |known, _| {
        known[&process("a")].device == device("truck")
    })
    .await;
    assert_eq!(known[&process("a")].generation, 2);
    replicas.delete_process(&process("a")).await;
    follow(&mut watch, &mut known, |known, _| known.is_empty()).await;
}

/// Follows a watch until what it told satisfies `until`.
async fn follow(
    watch: &mut mpsc::Receiver<Change>,
    known: &mut BTreeMap<ProcessRef, ProcessObject>,
    until: impl Fn(&BTreeMap<ProcessRef, ProcessObject>, bool) -> bool,
) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let change = tokio::time::timeout_at(deadline, watch.recv())
            .await
            .expect("in time")
            .expect("goes on");
        let mut synced = false;
        match change {
            Change::Process(process) => {
                known.insert(process.object.process.clone(), process.object);
            }
            Change::ProcessDeleted(process) => {
                known.remove(&process);
            }
            Change::Synced => synced = true,
            Change::Device(_) | Change::DeviceDeleted(_) => {}
        }
        if until(known, synced) {
            return;
        }
    }
}
