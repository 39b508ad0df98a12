//! A gateway of its own for each test.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use apollo_gateway::{
    config::{BodyLimit, Config, Register, StoreChoice, TlsFiles},
    gateway::Gateway,
    manifest,
    pki::{self, Issued, files},
    store::embedded::{EmbeddedStore, Missing},
};
use apollo_wire::{InstanceId, Observation, Report, UnixMillis};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

/// The least that is taken, so that tests of it are quick.
pub(crate) const MAX_BODY: usize = 32 * 1024;
/// How long a test waits for anything before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) authority: Issued,
    pub(crate) udp: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) store: EmbeddedStore,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

pub(crate) fn today() -> jiff::civil::Date {
    jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date()
}

/// A configuration on free ports, with a PKI and a store in `dir`.
pub(crate) fn config(dir: &TempDir, authority: &Issued) -> Config {
    let gateway = pki::gateway(authority, &["localhost".into(), "127.0.0.1".into()], today()).unwrap();
    files::write(dir.path(), "ca", authority).unwrap();
    files::write(dir.path(), "gateway", &gateway).unwrap();
    let file = |name: &str| -> PathBuf { dir.path().join(name) };
    Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        admin_listen: "127.0.0.1:0".parse().unwrap(),
        store: StoreChoice::Embedded(file("gateway.db")),
        tls: TlsFiles {
            certificate: file("gateway.pem"),
            key: file("gateway.key"),
            client_ca: file("ca.pem"),
        },
        stale_after: Duration::from_secs(90),
        max_body: BodyLimit::new(MAX_BODY as u64).unwrap(),
        max_future_skew: Duration::from_secs(300),
        max_age: Duration::from_secs(400 * 86_400),
        shutdown_grace: Duration::from_secs(10),
        register: Register::Auto,
    }
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let (fixture, serving) = Self::begin(change, |_| {}).await;
        tokio::time::timeout(PATIENCE, serving).await.unwrap().unwrap();
        fixture
    }

    /// A gateway that has begun and may not be serving yet; the receiver tells when it is. `prepare` gets the store's file
    /// between the two.
    pub(crate) async fn begin(
        change: impl FnOnce(&mut Config),
        prepare: impl FnOnce(&Path),
    ) -> (Self, oneshot::Receiver<()>) {
        let dir = tempfile::tempdir().unwrap();
        let authority = pki::authority(today()).unwrap();
        let mut config = config(&dir, &authority);
        change(&mut config);
        let gateway = Gateway::build(&config).await.unwrap();
        let (udp, admin) = gateway.addresses();
        let (udp, admin) = (udp[0], admin);
        let StoreChoice::Embedded(path) = &config.store else {
            panic!("these tests run on the embedded store");
        };
        prepare(path);
        let (stop, stopped) = oneshot::channel::<()>();
        let (announce, serving) = oneshot::channel::<()>();
        let running = tokio::spawn(gateway.run(
            move || announce.send(()).unwrap(),
            async {
                let _ = stopped.await;
            },
            std::future::pending(),
        ));
        let store = EmbeddedStore::open(path, Missing::Refuse).unwrap();
        let fixture = Self {
            dir,
            authority,
            udp,
            admin,
            store,
            stop: Some(stop),
            running,
        };
        (fixture, serving)
    }

    /// A certificate for a device, from the fixture's authority.
    pub(crate) fn device(&self, name: &str) -> Issued {
        pki::device(&self.authority, &name.parse().unwrap(), today()).unwrap()
    }

    /// Stores a DeviceProcess.
    pub(crate) async fn apply(&self, name: &str, device: &str, command: &str) {
        let object = serde_json::json!({
            "apiVersion": "apollo.azure.com/v1alpha1", "kind": "DeviceProcess",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"deviceRef": {"name": device}, "command": [command]},
        });
        let Ok(manifest) = manifest::check_object(&object, None) else {
            panic!("a good manifest")
        };
        self.store.apply(vec![manifest]).await.unwrap();
    }

    /// One GET on the admin port: status and body.
    pub(crate) async fn admin_get(&self, path: &str) -> (u16, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(self.admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// Starts the drain.
    pub(crate) fn begin_drain(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits until the gateway has ended.
    pub(crate) async fn ended(self) {
        tokio::time::timeout(PATIENCE, self.running)
            .await
            .unwrap()
            .unwrap();
    }
}

/// Waits for a level, looking again and again.
pub(crate) async fn until(mut level: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !level().await {
        assert!(tokio::time::Instant::now() < deadline, "waited too long");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn now() -> UnixMillis {
    UnixMillis::saturating(jiff::Timestamp::now().as_millisecond())
}

pub(crate) fn empty_report() -> Report {
    Report::empty(InstanceId::from_bytes([7; 16]), now())
}

/// A report with one observation of a running process.
pub(crate) fn report_of(process: &str, seq: u64) -> Report {
    let json = serde_json::json!({
        "instance": InstanceId::from_bytes([7; 16]).to_string(),
        "sentAt": now().to_string(),
        "observations": [{"seq": seq, "process": process, "observedAt": now().to_string(), "state": "Running"}],
    });
    let report = apollo_wire::json::decode_report(json.to_string().as_bytes()).unwrap();
    let _: &Vec<Observation> = &report.observations;
    report
}
