//! Ending on request while the disk does not take what there is to store.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use apollo_agent::{
    driver::{DriverError, Summary, Supervision},
    queue::{Queue, QueueLimits, SupervisedProcess},
    supervisor::{self, RunRecordError, RunRecords, SupervisorHandle},
};
use apollo_wire::{CanonicalSpec, DesiredProcess, DesiredState, ProcessRef};
use serde_json::{json, value::RawValue};

use crate::{
    fake_gateway::{Handler, Seen, agreeable},
    rig::Rig,
    wait,
};

/// How long a test waits before it gives up: only a test that fails takes so long.
const PATIENCE: Duration = Duration::from_secs(40);
/// Less than the time after which the agent ends whether all is well or not.
const PROMPT: Duration = Duration::from_secs(5);

/// Makes the disk refuse observations, and nothing else.
const REFUSE: &str = "CREATE TRIGGER refuse BEFORE INSERT ON observation \
                      BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";

/// Stores a desired document with so many processes that go on for ever.
fn desire(queue: &mut Queue, processes: usize) {
    let spec = json!({"deviceRef": {"name": "buoy-1"}, "command": ["sleep", "1000"]});
    let canonical = CanonicalSpec::new(&spec).unwrap();
    let process = |number| DesiredProcess {
        namespace: "default".to_owned(),
        name: format!("p{number}"),
        generation: 1,
        spec_hash: canonical.hash(),
        spec: RawValue::from_string(canonical.json().to_owned()).unwrap(),
    };
    let state = DesiredState {
        device: "buoy-1".parse().unwrap(),
        processes: (0..processes).map(process).collect(),
    };
    queue
        .store_desired("\"v1\"", &state, apollo_agent::clock::now())
        .unwrap();
}

/// A supervisor whose channel holds a single observation.
fn supervise(rig: &Rig, records: Box<dyn RunRecords>) -> Supervision {
    let mut setup = supervisor::Setup::new(rig.data.path().to_owned(), 1);
    setup.limits.shutdown_grace_max = Duration::from_millis(100);
    setup.left_over_grace = Duration::from_millis(100);
    setup.kill_wait = Duration::from_millis(100);
    let (sender, observations) = tokio::sync::mpsc::channel(1);
    let handle = SupervisorHandle::start(setup, records, sender).unwrap();
    Supervision { handle, observations }
}

fn database(rig: &Rig) -> rusqlite::Connection {
    rusqlite::Connection::open(rig.data.path().join("agent.db")).unwrap()
}

/// Runs the agent on a disk that refuses observations, and stops it once `processes` children live.
async fn stop_on_a_refusing_disk(
    rig: &Rig,
    processes: usize,
    stopping: &AtomicBool,
) -> (Summary, Vec<SupervisedProcess>) {
    let mut queue = rig.queue();
    desire(&mut queue, processes);
    database(rig).execute_batch(REFUSE).unwrap();
    let driver = rig.driver_with(Some(supervise(rig, Box::new(rig.queue())))).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(driver.run(async {
        let _ = stopped.await;
    }));
    wait::until(PATIENCE, "all children live", || {
        queue.list_supervised().unwrap().len() == processes
    })
    .await;
    let children = queue.list_supervised().unwrap();
    stopping.store(true, Ordering::SeqCst);
    stop.send(()).unwrap();
    let ended = tokio::time::timeout(PROMPT, running).await;
    (ended.expect("it ends").unwrap().unwrap(), children)
}

#[tokio::test]
async fn r11_a_disk_that_refuses_writes_does_not_keep_the_agent_from_ending() {
    let rig = Rig::new(Arc::new(agreeable));
    // More than the channel and the driver hold together.
    let (_, children) = stop_on_a_refusing_disk(&rig, 8, &AtomicBool::new(false)).await;
    let alive = |child: &SupervisedProcess| std::path::Path::new(&format!("/proc/{}", child.pid)).exists();
    assert!(!children.iter().any(alive), "{children:?}");
}

#[tokio::test]
async fn r01_what_the_disk_refused_is_stored_in_order_when_it_gives_in_before_the_end() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("agent.db");
    let stopping = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stopping);
    // The disk has room again when the last report arrives.
    let handler: Handler = Arc::new(move |seen: &Seen| {
        if asked.load(Ordering::SeqCst) {
            let database = rusqlite::Connection::open(&path).unwrap();
            database.execute_batch("DROP TRIGGER IF EXISTS refuse").unwrap();
        }
        agreeable(seen)
    });
    let rig = Rig::over(data, handler);
    let (summary, _) = stop_on_a_refusing_disk(&rig, 1, &stopping).await;
    let rows = Queue::open(rig.data.path(), QueueLimits::default())
        .unwrap()
        .list(10)
        .unwrap();
    let reasons: Vec<_> = rows.iter().map(|row| row.reason.as_str()).collect();
    assert_eq!((reasons, summary.pending), (vec!["Started", "AgentStopping"], 2));
}

/// Records whose removal never ends.
struct StuckRecords {
    put: Arc<Mutex<u32>>,
    never: mpsc::Receiver<()>,
}

impl RunRecords for StuckRecords {
    fn put_run(&mut self, record: &SupervisedProcess) -> Result<(), RunRecordError> {
        *self.put.lock().unwrap() = record.pid;
        Ok(())
    }

    fn list_runs(&mut self) -> Result<Vec<SupervisedProcess>, RunRecordError> {
        Ok(vec![])
    }

    fn delete_run(&mut self, _: &ProcessRef) -> Result<(), RunRecordError> {
        Ok(self.never.recv()?)
    }
}

/// Takes as long as the waits that are no setting: 7 s.
#[tokio::test]
async fn r11_a_supervisor_that_is_stuck_does_not_keep_the_agent_from_ending() {
    let rig = Rig::new(Arc::new(agreeable));
    desire(&mut rig.queue(), 1);
    let put = Arc::default();
    // Dropped at the end of the test, which ends the removal with an error.
    let (_stuck, never) = mpsc::sync_channel(1);
    let records = StuckRecords {
        put: Arc::clone(&put),
        never,
    };
    let supervision = supervise(&rig, Box::new(records));
    let longest = supervision.handle.longest_shutdown();
    let driver = rig.driver_with(Some(supervision)).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(driver.run(async {
        let _ = stopped.await;
    }));
    wait::until(PATIENCE, "the child lives", || *put.lock().unwrap() > 0).await;
    stop.send(()).unwrap();
    let began = Instant::now();
    let ended = tokio::time::timeout(PATIENCE, running).await;
    ended.expect("it ends").unwrap().unwrap();
    assert!(began.elapsed() >= longest, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_supervisor_that_ends_by_itself_makes_the_agent_fail() {
    let rig = Rig::new(Arc::new(agreeable));
    let mut supervision = supervise(&rig, Box::new(rig.queue()));
    // A task that panics drops its end of the channel.
    supervision.observations = tokio::sync::mpsc::channel(1).1;
    let driver = rig.driver_with(Some(supervision)).await;
    let ended = tokio::time::timeout(PATIENCE, driver.run(std::future::pending())).await;
    let ended = ended.expect("it ends");
    assert!(matches!(ended, Err(DriverError::SupervisorEnded)), "{ended:?}");
}
