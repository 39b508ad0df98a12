//! An API server in so many words, a client's cache of it, and the queue between.

use std::collections::BTreeMap;

use apollo_gateway_core::{
    join::{Candidate, StateSource, StatusJoin},
    object::{
        Condition, DeviceObject, DeviceState, DeviceStatus, ProcessObject, ResourceVersion, SyncPoint,
        Versioned,
    },
    store::{StatusWrite, WriteOutcome},
    writes::{
        Answer, Current, Next, ObjectKey, Refused, Request, SendResult, StatusChange, Write, WriteLimits,
        WriteQueue,
    },
};
use apollo_wire::{Observation, ProcessState};

use crate::memory::{device, now, object, process, running};

/// Tickets are numbers.
pub(crate) type Ticket = u32;

/// The queue, what the API server has, and what its client knows of it.
pub(crate) struct ApiServer {
    pub(crate) queue: WriteQueue<Ticket>,
    pub(crate) objects: BTreeMap<ObjectKey, Current>,
    /// What the client knew when its watch began to lag.
    pub(crate) cache: Option<BTreeMap<ObjectKey, Current>>,
    pub(crate) unwanted: Vec<Ticket>,
    pub(crate) now_ms: u64,
    version: u64,
}

pub(crate) fn process_key(name: &str) -> ObjectKey {
    ObjectKey::Process(process(name))
}

pub(crate) fn device_key(name: &str) -> ObjectKey {
    ObjectKey::Device(device(name))
}

/// Limits that no test meets by accident.
pub(crate) fn wide() -> WriteLimits {
    WriteLimits {
        waiting_max: 10_000,
        in_flight_max: 1_000,
        per_second: 1_000,
        burst: 10_000,
        ..WriteLimits::default()
    }
}

/// What a device saw at one point of its life: always the same.
pub(crate) fn candidate(name: &str, epoch: u32, sequence: u64) -> Candidate {
    let mut observation: Observation = running(sequence, name);
    observation.pid = Some(epoch * 1_000 + u32::try_from(sequence).unwrap());
    if sequence.is_multiple_of(3) {
        observation.state = Some(ProcessState::Failed);
    }
    Candidate {
        sync: SyncPoint { epoch, sequence },
        observation,
        corrected_at: None,
    }
}

/// What an exchange says of a process.
pub(crate) fn by_report(candidate: Option<Candidate>) -> StatusJoin {
    StatusJoin {
        candidate,
        device_state: DeviceState::Connected,
        state_from: StateSource::Report,
        now: now(),
    }
}

/// What a repair says of a process.
pub(crate) fn by_repair(device_state: DeviceState) -> StatusJoin {
    StatusJoin {
        candidate: None,
        device_state,
        state_from: StateSource::DeviceObject,
        now: now(),
    }
}

impl ApiServer {
    /// With these processes and the devices they are bound to.
    pub(crate) fn with(limits: WriteLimits, processes: &[(&str, &str)]) -> Self {
        let mut server = Self {
            queue: WriteQueue::new(limits),
            objects: BTreeMap::new(),
            cache: None,
            unwanted: Vec::new(),
            now_ms: 1_000,
            version: 0,
        };
        for (name, bound_to) in processes {
            server.put(object(name, bound_to));
            server.put_device(bound_to, DeviceStatus::default());
        }
        server
    }

    fn new_version(&mut self) -> ResourceVersion {
        self.version += 1;
        ResourceVersion(self.version.to_string())
    }

    fn put(&mut self, object: ProcessObject) {
        let version = self.new_version();
        let key = ObjectKey::Process(object.process.clone());
        self.objects
            .insert(key, Current::Process(Versioned { version, object }));
    }

    fn put_device(&mut self, name: &str, status: DeviceStatus) {
        let version = self.new_version();
        let object = DeviceObject {
            device: device(name),
            blocked: false,
            stale_after_ms: None,
            status,
        };
        self.objects
            .insert(device_key(name), Current::Device(Versioned { version, object }));
    }

    pub(crate) fn process(&self, name: &str) -> &Versioned<ProcessObject> {
        match &self.objects[&process_key(name)] {
            Current::Process(process) => process,
            Current::Device(_) => panic!("{name} is a device"),
        }
    }

    pub(crate) fn version(&self, key: &ObjectKey) -> ResourceVersion {
        self.objects[key].version().clone()
    }

    /// Somebody else changes a process.
    pub(crate) fn edit(&mut self, name: &str, edit: impl FnOnce(&mut ProcessObject)) {
        let mut object = self.process(name).object.clone();
        edit(&mut object);
        self.put(object);
    }

    /// Another controller sets its own condition and field.
    pub(crate) fn foreign_write(&mut self, name: &str, say: u64) {
        self.edit(name, |object| {
            object.status.foreign.insert("others".to_owned(), say.into());
            object.status.conditions.retain(|one| one.kind != "Backup");
            object.status.conditions.insert(0, backup(say));
        });
    }

    /// Takes a write of a process, computed from its version now.
    pub(crate) fn push(&mut self, name: &str, join: StatusJoin, ticket: Ticket) -> Result<(), Refused> {
        let expected = self.version(&process_key(name));
        self.push_at(name, join, expected, ticket)
    }

    /// Takes a write of a process, computed from some version.
    pub(crate) fn push_at(
        &mut self,
        name: &str,
        join: StatusJoin,
        expected: ResourceVersion,
        ticket: Ticket,
    ) -> Result<(), Refused> {
        let bound_to = self.process(name).object.device.clone();
        self.push_for(bound_to.as_str(), name, join, expected, ticket)
    }

    /// Takes a write by a device that may not be the bound one.
    pub(crate) fn push_for(
        &mut self,
        by: &str,
        name: &str,
        join: StatusJoin,
        expected: ResourceVersion,
        ticket: Ticket,
    ) -> Result<(), Refused> {
        let write = self.write(name, join, expected);
        let pushed = self.queue.push(device(by), write, ticket, self.now_ms);
        pushed.map_err(|(refused, back)| {
            assert_eq!(back, ticket, "the ticket comes back");
            refused
        })
    }

    fn write(&self, name: &str, join: StatusJoin, expected: ResourceVersion) -> Write {
        Write::Process(Box::new(StatusWrite {
            process: process(name),
            expected,
            status: self.process(name).object.status.clone(),
            join,
        }))
    }

    /// Takes writes of several processes as one request of a machine; their tickets are 0, 1, 2 ...
    pub(crate) fn push_together(&mut self, by: &str, names: &[&str]) -> Result<(), Refused> {
        let write = |name: &&str| {
            let join = by_report(Some(candidate(name, 1, 1)));
            self.write(name, join, self.version(&process_key(name)))
        };
        let writes: Vec<(Write, Ticket)> = names.iter().map(write).zip(0..).collect();
        self.queue.push_all(&device(by), writes, self.now_ms)
    }

    /// Takes a write of a Device.
    pub(crate) fn push_device(
        &mut self,
        name: &str,
        agent_version: &str,
        expected: ResourceVersion,
        ticket: Ticket,
    ) -> Result<(), Refused> {
        let status = DeviceStatus {
            agent_version: Some(agent_version.to_owned()),
            ..DeviceStatus::default()
        };
        let write = Write::Device {
            device: device(name),
            expected,
            status: Box::new(status),
        };
        let pushed = self.queue.push(device(name), write, ticket, self.now_ms);
        pushed.map_err(|(refused, _)| refused)
    }

    pub(crate) fn next(&mut self) -> Next<Ticket> {
        let known = self.cache.as_ref().unwrap_or(&self.objects);
        self.queue.next(
            self.now_ms,
            |key| known.get(key).cloned(),
            |ticket| !self.unwanted.contains(ticket),
        )
    }

    /// The next request, which must be one.
    pub(crate) fn send(&mut self) -> Request {
        match self.next() {
            Next::Send(request) => request,
            other => panic!("{other:?}"),
        }
    }

    /// The next answers, which must be some.
    pub(crate) fn answers(&mut self) -> Vec<(Ticket, WriteOutcome)> {
        match self.next() {
            Next::Answers(answers) => outcomes(answers),
            other => panic!("{other:?}"),
        }
    }

    /// Carries out a request as an API server does.
    pub(crate) fn patch(&mut self, request: &Request) -> SendResult {
        let Some(current) = self.objects.get(&request.key) else {
            return SendResult::Gone;
        };
        if *current.version() != request.expected {
            return SendResult::Conflict;
        }
        match (current.clone(), &request.change) {
            (Current::Process(mut held), StatusChange::Process { from, to }) => {
                assert_eq!(held.object.status, **from, "a change starts from what is there");
                assert_ne!(from, to, "R-06: a request changes something");
                held.object.status = (**to).clone();
                self.put(held.object);
            }
            (Current::Device(held), StatusChange::Device { from, to }) => {
                assert_eq!(held.object.status, **from, "a change starts from what is there");
                self.put_device(held.object.device.as_str(), (**to).clone());
            }
            _ => panic!("a change of another kind of object"),
        }
        SendResult::Written(self.version(&request.key))
    }

    /// Carries out a request and tells the queue.
    pub(crate) fn carry_out(&mut self, request: &Request) -> Vec<(Ticket, WriteOutcome)> {
        let result = self.patch(request);
        outcomes(self.done(&request.key, result))
    }

    pub(crate) fn done(&mut self, key: &ObjectKey, result: SendResult) -> Vec<Answer<Ticket>> {
        self.queue.done(key, result, self.now_ms)
    }
}

fn backup(say: u64) -> Condition {
    Condition {
        kind: "Backup".to_owned(),
        status: "True".to_owned(),
        reason: "Done".to_owned(),
        message: say.to_string(),
        last_transition_time: None,
        observed_generation: None,
    }
}

/// Answers that are outcomes of the API server.
pub(crate) fn outcomes(answers: Vec<Answer<Ticket>>) -> Vec<(Ticket, WriteOutcome)> {
    answers
        .into_iter()
        .map(|answer| (answer.ticket, answer.outcome.unwrap()))
        .collect()
}
