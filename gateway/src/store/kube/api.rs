//! Single requests to the API server: each bounded in time, its answer taken into the cache.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use apollo_gateway_core::object::{DeviceObject, ProcessObject};
use apollo_wire::{DeviceName, ProcessRef};
use kube::{
    Api, Client, Error,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{
    announce::Announcer,
    cache::{Cache, Cached},
    failure::{Doing, Failure},
    gate::Gate,
    health::Health,
    object::{self, Known, RawObject, Unreadable},
};
use crate::{
    events,
    manifest::{API_VERSION, DEFAULT_NAMESPACE, Kind},
};

/// Longest wait for one answer: less than an exchange may take, so that its 503 still reaches the device.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Authoritative reads under way at once: with the writes they stay far below what an API server gives one client by
/// default, and reports beyond them wait their turn.
const READS_AT_ONCE: usize = 16;
/// Longest pause that is waited out before a request, as the queue of writes has it: a device waits on its open stream.
const PATIENCE: Duration = Duration::from_secs(2);
/// Tries of a creation: each waits for the end of a pause, and an exchange has a few seconds.
const CREATE_TRIES: u32 = 3;
/// Objects in one page of a list, as kubectl asks for.
const PAGE: u32 = 500;
/// Processes of one device that are read at most: its agent is told of 1,000, and an operator may be at rebinding others.
/// Those that a report names are read besides, of which there are no more than it may have observations.
const BOUND_MAX: usize = 4_096;
/// Who wrote a field, in `managedFields`.
pub(super) const FIELD_MANAGER: &str = "apollo-gateway";

/// The API server, for what the gateway asks of it.
pub(super) struct Requests {
    client: Client,
    /// Only this namespace's DeviceProcesses are ours.
    namespace: Option<String>,
    cache: Arc<Cache>,
    health: Arc<Health>,
    announcer: Announcer,
    gate: Gate,
    reads: Semaphore,
    creations: Semaphore,
}

impl Requests {
    pub(super) fn new(
        client: Client,
        namespace: Option<String>,
        cache: Arc<Cache>,
        health: Arc<Health>,
        announcer: Announcer,
    ) -> Self {
        Self {
            client,
            namespace,
            cache,
            health,
            announcer,
            gate: Gate::default(),
            reads: Semaphore::new(READS_AT_ONCE),
            creations: Semaphore::new(1),
        }
    }

    /// The Devices.
    pub(super) fn devices(&self) -> Api<RawObject> {
        Api::all_with(self.client.clone(), &object::resource(Kind::Device))
    }

    /// The DeviceProcesses we serve.
    pub(super) fn processes(&self) -> Api<RawObject> {
        let resource = object::resource(Kind::DeviceProcess);
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// Every object of a kind that we serve.
    pub(super) fn all(&self, kind: Kind) -> Api<RawObject> {
        match kind {
            Kind::Device => self.devices(),
            Kind::DeviceProcess => self.processes(),
        }
    }

    /// Where one object of a kind may be, whichever.
    pub(super) fn one_of(&self, kind: Kind) -> Api<RawObject> {
        match kind {
            Kind::Device => self.devices(),
            Kind::DeviceProcess => self.processes_in(self.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)),
        }
    }

    fn processes_in(&self, namespace: &str) -> Api<RawObject> {
        Api::namespaced_with(
            self.client.clone(),
            namespace,
            &object::resource(Kind::DeviceProcess),
        )
    }

    /// Whether a process is one we serve.
    pub(super) fn serves(&self, process: &ProcessRef) -> bool {
        self.namespace
            .as_deref()
            .is_none_or(|namespace| namespace == process.namespace())
    }

    /// The Device itself, past the cache.
    pub(super) async fn read_device(
        &self,
        device: &DeviceName,
    ) -> Result<Option<Known<DeviceObject>>, Failure> {
        let doing = Doing::to("get", Kind::Device);
        let api = self.devices();
        let read = self.read(doing, api.get(device.as_str())).await;
        self.taken_in_or_gone(read, device)
    }

    /// The DeviceProcesses bound to a device and those named, past the cache.
    pub(super) async fn read_processes(
        &self,
        device: &DeviceName,
        named: &[ProcessRef],
    ) -> Result<Vec<Known<ProcessObject>>, Failure> {
        let fields = ListParams::default().fields(&format!("spec.deviceRef.name={device}"));
        let bound = self
            .list(self.processes(), Kind::DeviceProcess, fields, BOUND_MAX)
            .await?;
        let mut found: Vec<Known<ProcessObject>> =
            bound.iter().filter_map(|raw| self.taken_in(raw)).collect();
        let bound: HashSet<&ProcessRef> = found.iter().map(|known| &known.read.object.process).collect();
        let others: BTreeSet<&ProcessRef> = named
            .iter()
            .filter(|process| self.serves(process) && !bound.contains(process))
            .collect();
        let reads = others.into_iter().map(|process| self.read_process(process));
        let others = futures_util::future::try_join_all(reads).await?;
        found.extend(others.into_iter().flatten());
        Ok(found)
    }

    /// A DeviceProcess itself, past the cache.
    pub(super) async fn read_process(
        &self,
        process: &ProcessRef,
    ) -> Result<Option<Known<ProcessObject>>, Failure> {
        let api = self.processes_in(process.namespace());
        let doing = Doing::to("get", Kind::DeviceProcess);
        let read = self.read(doing, api.get(process.name())).await;
        self.taken_in_or_gone(read, process)
    }

    /// Every object that passes, page by page, up to `limit`.
    pub(super) async fn list(
        &self,
        api: Api<RawObject>,
        kind: Kind,
        params: ListParams,
        limit: usize,
    ) -> Result<Vec<RawObject>, Failure> {
        let doing = Doing::to("list", kind);
        let mut found = Vec::new();
        let mut params = params.limit(PAGE.min(u32::try_from(limit).unwrap_or(PAGE)));
        loop {
            let page = self.read(doing, api.list(&params)).await?;
            found.extend(page.items);
            let more = page.metadata.continue_.filter(|token| !token.is_empty());
            match more {
                Some(token) if found.len() < limit => params = params.continue_token(&token),
                _ => break,
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Creates a Device with an empty spec, and no status: the API server keeps none at creation.
    ///
    /// One at a time, and again after a short 429: when a new fleet calls for the first time, its creations must neither
    /// crowd out the writes of others nor send all of its devices away to come back together.
    pub(super) async fn create_device(&self, device: &DeviceName) -> Result<RawObject, Failure> {
        // The semaphore is never closed.
        let _turn = self.creations.acquire().await;
        let mut tries_left = CREATE_TRIES;
        loop {
            tries_left -= 1;
            match self.try_to_create_device(device).await {
                Err(Failure::TooManyRequests { .. }) if tries_left > 0 => {}
                ended => return ended,
            }
        }
    }

    async fn try_to_create_device(&self, device: &DeviceName) -> Result<RawObject, Failure> {
        let object = json!({
            "apiVersion": API_VERSION, "kind": Kind::Device.as_str(),
            "metadata": {"name": device.as_str()}, "spec": {},
        });
        // The value is made of texts: it always has this form.
        let object: RawObject = serde_json::from_value(object).map_err(|_| Failure::Invalid)?;
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let api = self.devices();
        self.carried_out(Doing::to("create", Kind::Device), api.create(&params, &object))
            .await
    }

    /// Patches a Device's status.
    pub(super) async fn patch_device(&self, device: &DeviceName, patch: Value) -> Result<RawObject, Failure> {
        let api = self.devices();
        self.patch(&api, Kind::Device, device.as_str(), patch).await
    }

    /// Patches a DeviceProcess's status.
    pub(super) async fn patch_process(
        &self,
        process: &ProcessRef,
        patch: Value,
    ) -> Result<RawObject, Failure> {
        let api = self.processes_in(process.namespace());
        self.patch(&api, Kind::DeviceProcess, process.name(), patch).await
    }

    async fn patch(
        &self,
        api: &Api<RawObject>,
        kind: Kind,
        name: &str,
        patch: Value,
    ) -> Result<RawObject, Failure> {
        let doing = Doing::patch_status(kind);
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        self.carried_out(doing, api.patch_status(name, &params, &Patch::Merge(patch)))
            .await
    }

    async fn read<T>(
        &self,
        doing: Doing,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        // The semaphore is never closed.
        let _turn = self
            .reads
            .acquire()
            .await
            .map_err(|_| Failure::Unavailable { retry_after: None })?;
        self.carried_out(doing, request).await
    }

    /// Waits for the answer, at most so long, and notes whether the API server works for us. While it wants to be left
    /// alone nothing is asked: a short while is waited out.
    async fn carried_out<T>(
        &self,
        doing: Doing,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        if let Some(left) = self.gate.closed(Instant::now()) {
            if left > PATIENCE {
                let retry_after = Some(left);
                return Err(Failure::TooManyRequests { retry_after });
            }
            tokio::time::sleep(left).await;
        }
        let Ok(answer) = tokio::time::timeout(ANSWER_WITHIN, request).await else {
            let (verb, resource) = (doing.verb, doing.resource());
            let line = format!("cannot {verb} {resource}: no answer within {ANSWER_WITHIN:?}");
            self.health.failing(doing, line, Instant::now());
            return Err(Failure::Unavailable { retry_after: None });
        };
        answer.inspect(|_| self.health.working(doing)).map_err(|error| {
            let failure = Failure::of(&error);
            match failure {
                // These are answers of a server that works.
                Failure::Conflict | Failure::Missing => self.health.working(doing),
                Failure::TooManyRequests { retry_after } => self.gate.close(retry_after, Instant::now()),
                _ => self.health.failing(doing, doing.line(&error), Instant::now()),
            }
            failure
        })
    }

    /// An object as the core knows it, and taken into the cache; one that cannot be read is told in the log.
    pub(super) fn taken_in<T: Cached>(&self, raw: &RawObject) -> Option<Known<T>> {
        match object::known::<T>(raw) {
            Ok(known) => {
                self.cache.take_in(known.clone());
                Some(known)
            }
            Err(error) => {
                self.left_out(raw, T::KIND, &error);
                None
            }
        }
    }

    /// Said in the log, and to whoever describes the object.
    pub(super) fn left_out(&self, raw: &RawObject, kind: Kind, error: &Unreadable) {
        events::ObjectLeftOut {
            error: &error.to_string(),
        }
        .emit();
        self.announcer.left_out(raw, kind, error);
    }

    fn taken_in_or_gone<T: Cached>(
        &self,
        read: Result<RawObject, Failure>,
        key: &T::Key,
    ) -> Result<Option<Known<T>>, Failure> {
        match read {
            Ok(raw) => Ok(self.taken_in(&raw)),
            Err(Failure::Missing) => {
                T::forget(&self.cache, key);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }
}
