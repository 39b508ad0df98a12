//! Records of live children that are slow to reach the disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod supervisor_bench;

use std::sync::{Arc, Mutex, mpsc};

use apollo_agent::{
    queue::SupervisedProcess,
    supervisor::{RunRecordError, RunRecords, SupervisorHandle},
};
use apollo_wire::ProcessRef;
use supervisor_bench::{MemoryRecords, PATIENCE, document, quick_setup, script, until};

/// What has been asked for, in order.
type Calls = Arc<Mutex<Vec<&'static str>>>;

/// Records on a disk that is done with a write or a removal only when the test says so.
struct SlowRecords {
    kept: MemoryRecords,
    calls: Calls,
    may_go_on: mpsc::Receiver<()>,
}

impl SlowRecords {
    fn wait(&self, call: &'static str) {
        self.calls.lock().unwrap().push(call);
        self.may_go_on
            .recv_timeout(PATIENCE)
            .expect("the runtime goes on while the disk is slow");
    }
}

impl RunRecords for SlowRecords {
    fn put_run(&mut self, record: &SupervisedProcess) -> Result<(), RunRecordError> {
        self.wait("put");
        self.kept.put_run(record)
    }

    fn list_runs(&mut self) -> Result<Vec<SupervisedProcess>, RunRecordError> {
        self.kept.list_runs()
    }

    fn delete_run(&mut self, process: &ProcessRef) -> Result<(), RunRecordError> {
        self.wait("delete");
        self.kept.delete_run(process)
    }
}

/// On the runtime's one thread, which the agent has, too.
#[tokio::test(flavor = "current_thread")]
async fn a_slow_disk_holds_up_the_supervisor_and_not_the_runtime() {
    let directory = tempfile::tempdir().unwrap();
    let (kept, calls) = (MemoryRecords::default(), Calls::default());
    let (go_on, may_go_on) = mpsc::sync_channel(1);
    let records = SlowRecords {
        kept: kept.clone(),
        calls: Arc::clone(&calls),
        may_go_on,
    };
    let (sender, mut observations) = tokio::sync::mpsc::channel(8);
    let supervisor =
        SupervisorHandle::start(quick_setup(directory.path()), Box::new(records), sender).unwrap();
    supervisor.apply(document(1, &[("a", script("exit 0"))]));
    let asked = |expected: &'static [&'static str]| {
        let calls = Arc::clone(&calls);
        move || calls.lock().unwrap().as_slice() == expected
    };

    until("the start is being written", asked(&["put"])).await;
    assert!(
        observations.try_recv().is_err(),
        "a start is told before its record is on disk"
    );
    go_on.send(()).unwrap();
    assert_eq!(observations.recv().await.unwrap().reason, "Started");
    assert_eq!(kept.all().len(), 1);

    until("the end is being written", asked(&["put", "delete"])).await;
    assert!(
        observations.try_recv().is_err(),
        "an end is told before its record is gone"
    );
    go_on.send(()).unwrap();
    assert_eq!(observations.recv().await.unwrap().reason, "Exited");
    assert_eq!(kept.all(), []);
    supervisor.shutdown().await;
}
