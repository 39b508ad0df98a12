//! The API server of a test, and its etcd.

use std::{
    path::PathBuf,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use nix::sys::signal::Signal;

use super::{
    access::{Rule, Users, kubeconfig},
    audit::{self, AuditEntry, AuditMark},
    built::Built,
    client::KubeClient,
    parts::{Part, Parts},
};
use crate::harness::{Finished, PATIENCE, Running, Sandbox, wait};

/// How often a start is tried with other ports: another program may take one between its choice and its use.
const STARTS: u32 = 3;

/// What both programs say then.
const PORT_TAKEN: &str = "address already in use";

/// An API server with an etcd of its own. Dropping it kills both. Threads may share it.
pub struct KubeApi {
    parts: Mutex<Parts>,
    users: Mutex<Users>,
    directory: PathBuf,
    kubectl: PathBuf,
    server: String,
    ca: String,
    admin: KubeClient,
}

impl KubeApi {
    /// What is missing, for [`skip`](crate::harness::skip()); `None` if it can be started.
    pub fn missing() -> Option<String> {
        Built::find().err().map(|error| format!("{error:#}"))
    }

    /// The kubectl of the tests, for what needs no server.
    pub fn kubectl_program() -> anyhow::Result<PathBuf> {
        Ok(Built::find()?.kubectl())
    }

    /// Starts both parts in `kube/` of a sandbox and waits until they are ready. There are no custom resources yet:
    /// [`KubeClient::install_crds`].
    pub fn start(sandbox: &Sandbox) -> anyhow::Result<Self> {
        Self::start_with(sandbox, "kube", &[])
    }

    /// As [`KubeApi::start`] in a directory `name` of the sandbox, with further arguments of the API server.
    pub fn start_with(sandbox: &Sandbox, name: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let built = Built::find()?;
        let mut tried = 0;
        loop {
            tried += 1;
            let number = if tried == 1 {
                String::new()
            } else {
                format!("-{tried}")
            };
            let directory = sandbox.join(&format!("{name}{number}"));
            std::fs::create_dir(&directory)?;
            match Self::start_in(directory, built.clone(), arguments) {
                Err(error) if tried < STARTS && format!("{error:#}").contains(PORT_TAKEN) => {}
                result => return result,
            }
        }
    }

    fn start_in(directory: PathBuf, built: Built, arguments: &[&str]) -> anyhow::Result<Self> {
        let mut users = Users::new(&directory)?;
        let token = users.set("admin", None)?;
        let kubectl = built.kubectl();
        let mut parts = Parts::new(built, &directory, arguments)?;
        parts.start(Part::Etcd)?;
        parts.start(Part::ApiServer)?;
        let certificates = parts.certificates();
        let ca = wait::until("the API server's certificate", PATIENCE, || {
            parts.check()?;
            Ok(authority(
                &std::fs::read_to_string(&certificates).unwrap_or_default(),
            ))
        })?;
        let server = format!("https://127.0.0.1:{}", parts.server_port());
        let api = Self {
            parts: Mutex::new(parts),
            users: Mutex::new(users),
            admin: KubeClient::new(&server, &ca, &token)?,
            directory,
            kubectl,
            server,
            ca,
        };
        api.write_kubeconfig("admin", &token)?;
        api.await_ready()?;
        Ok(api)
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.server
    }

    /// The certificate of its authority, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca
    }

    /// A client that may do everything.
    pub fn client(&self) -> &KubeClient {
        &self.admin
    }

    /// The kubeconfig of a user who may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_of("admin")
    }

    /// Adds a user who may do what `rules` say and nothing else, and returns their kubeconfig. Called again with the
    /// same name, it changes the rules; from the next request on these hold.
    pub fn user(&self, name: &str, rules: &[Rule]) -> anyhow::Result<PathBuf> {
        let token = lock(&self.users).set(name, Some(rules.to_vec()))?;
        self.write_kubeconfig(name, &token)
    }

    /// A client of a user, with the same rules as [`KubeApi::user`].
    pub fn client_of(&self, name: &str, rules: &[Rule]) -> anyhow::Result<KubeClient> {
        let token = lock(&self.users).set(name, Some(rules.to_vec()))?;
        KubeClient::new(&self.server, &self.ca, &token)
    }

    /// Sends `signal` to a part and waits until it has ended; after two seconds SIGKILL ends it.
    pub fn stop(&self, part: Part, signal: Signal) -> anyhow::Result<()> {
        lock(&self.parts).stop(part, signal)
    }

    /// Sends a signal, such as SIGSTOP, and waits for nothing.
    pub fn signal(&self, part: Part, signal: Signal) -> anyhow::Result<()> {
        lock(&self.parts).running(part)?.signal(signal)
    }

    /// Starts a stopped part again: same port, data, certificate, tokens. [`KubeApi::await_ready`] waits until both
    /// serve.
    pub fn start_part(&self, part: Part) -> anyhow::Result<()> {
        lock(&self.parts).start(part)
    }

    /// Waits until the API server says that it is ready, which it is only with its etcd.
    pub fn await_ready(&self) -> anyhow::Result<()> {
        wait::until_true("the API server to be ready", PATIENCE, || {
            lock(&self.parts).check()?;
            Ok(self.admin.is_ready())
        })
    }

    /// Resident memory of a part, bytes.
    pub fn resident_bytes(&self, part: Part) -> anyhow::Result<u64> {
        lock(&self.parts).running(part)?.resident_bytes()
    }

    /// Runs kubectl as the user who may do everything.
    pub fn kubectl(&self, arguments: &[&str], stdin: Option<&[u8]>) -> anyhow::Result<Finished> {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(self.kubeconfig());
        // What it knows of other servers stays out, and what it learns of this one too.
        command
            .arg("--cache-dir")
            .arg(self.directory.join("kubectl-cache"));
        command.current_dir(&self.directory).args(arguments);
        Running::finish("kubectl", command, &self.directory, stdin, PATIENCE)
    }

    /// Every request that was answered so far. An entry is there at the latest a moment after the answer: wait for the
    /// number of them, do not read it once.
    pub fn audit(&self) -> anyhow::Result<Vec<AuditEntry>> {
        self.audit_since(AuditMark::START)
    }

    /// The requests that were answered since `mark`.
    pub fn audit_since(&self, mark: AuditMark) -> anyhow::Result<Vec<AuditEntry>> {
        audit::since(&self.audit_log(), mark)
    }

    /// What is answered from now on is after this mark.
    pub fn audit_mark(&self) -> anyhow::Result<AuditMark> {
        audit::end(&self.audit_log())
    }

    fn audit_log(&self) -> PathBuf {
        self.directory.join("audit.log")
    }

    fn kubeconfig_of(&self, user: &str) -> PathBuf {
        self.directory.join(format!("{user}.kubeconfig"))
    }

    fn write_kubeconfig(&self, user: &str, token: &str) -> anyhow::Result<PathBuf> {
        let path = self.kubeconfig_of(user);
        let text = kubeconfig(&self.server, &self.ca, user, token).to_string();
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

/// The second of two certificates in PEM; `None` while the file is not yet complete.
fn authority(pem: &str) -> Option<String> {
    const END: &str = "-----END CERTIFICATE-----\n";
    let mut certificates = pem.split_inclusive(END).filter(|part| part.ends_with(END));
    certificates.nth(1).map(str::to_owned)
}

/// A thread that has failed is a test that has failed: the others may go on to their own end.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
