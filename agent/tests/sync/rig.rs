//! A driver with its queue and a gateway of its own.

use std::time::Duration;

use apollo_agent::{
    clock,
    driver::{Driver, Setup, Summary, Supervision},
    metrics::Metrics,
    queue::{NewObservation, Queue, QueueLimits},
};
use apollo_agent_core::engine::Limits;

use crate::fake_gateway::{FakeGateway, Handler, Pki, factory};

const FEW_ROWS: Limits = Limits {
    sync_interval: Duration::from_millis(100),
    heartbeat: Duration::from_millis(200),
    batch_rows: 4,
    batch_bytes: 64 * 1024,
    backoff_initial: Duration::from_millis(50),
    backoff_cap: Duration::from_millis(200),
    refused_delay: Duration::from_millis(200),
    retry_after_cap: Duration::from_secs(1),
};

pub(crate) struct Rig {
    pki: Pki,
    pub(crate) data: tempfile::TempDir,
    pub(crate) gateway: FakeGateway,
}

impl Rig {
    pub(crate) fn new(handler: Handler) -> Self {
        Self::over(tempfile::tempdir().unwrap(), handler)
    }

    pub(crate) fn over(data: tempfile::TempDir, handler: Handler) -> Self {
        let pki = Pki::new();
        let gateway = FakeGateway::start(&pki, handler);
        Self { pki, data, gateway }
    }

    pub(crate) fn queue(&self) -> Queue {
        Queue::open(self.data.path(), QueueLimits::default()).unwrap()
    }

    pub(crate) fn add(&self, rows: usize) {
        let row = NewObservation::new("default/collector".parse().unwrap(), &clock::read());
        self.queue().append(&vec![row; rows]).unwrap();
    }

    pub(crate) async fn driver(&self) -> Driver {
        self.driver_with(None).await
    }

    pub(crate) async fn driver_with(&self, supervision: Option<Supervision>) -> Driver {
        let identity = self.pki.device("buoy-1");
        let setup = Setup {
            limits: FEW_ROWS,
            device: identity.device.clone(),
            queue: self.queue(),
            data_dir: self.data.path().to_owned(),
            clients: factory(&[self.gateway.url()], &identity),
            metrics: Metrics::default(),
            seed: 1,
        };
        Driver::new(setup, supervision).await.unwrap()
    }

    pub(crate) async fn sync(&self) -> Summary {
        self.driver().await.run_once().await.unwrap()
    }
}
