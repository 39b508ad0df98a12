//! Carries out what the core's write queue says: one task owns the queue, sends its requests, and tells whoever waits.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use apollo_gateway_core::{
    object::{DeviceObject, ProcessObject, ResourceVersion},
    store::WriteOutcome,
    writes::{
        Answer, Current, Next, ObjectKey, Refused, Request, SendResult, StatusChange, Unavailable, Write,
        WriteLimits, WriteQueue,
    },
};
use apollo_wire::DeviceName;
use futures_util::FutureExt;
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{
    Shared,
    cache::Cached,
    failure::Failure,
    object::{self, Known, RawObject, Stored},
    patch,
};
use crate::events;

/// Requests of the store whose writes have not been taken into the queue yet: as many as reports may be settled at once
/// and devices be repaired, so nobody is refused here.
const ARRIVING_MAX: usize = 256;

/// Writes of one request that the queue is given at once, and takes whole or not at all: fewer than it has places for one
/// device, and more than a device is told of processes. Of more, some go first.
const AT_ONCE_MAX: usize = 1_000;

/// What a write came to, or how long to leave the API server alone.
pub(super) type Outcome = Result<WriteOutcome, Unavailable>;
type Ticket = oneshot::Sender<Outcome>;

/// Writes of one machine.
struct Arrival {
    device: DeviceName,
    writes: Vec<(Write, Ticket)>,
    /// Told if the queue takes none of them; their tickets are dropped then.
    refused: oneshot::Sender<Unavailable>,
}

/// Where writes are left.
#[derive(Clone)]
pub(super) struct Writer {
    arrivals: mpsc::Sender<Arrival>,
}

impl Writer {
    /// Starts the task; it ends with the last handle.
    pub(super) fn start(shared: Arc<Shared>) -> Self {
        let (arrivals, receiver) = mpsc::channel(ARRIVING_MAX);
        let task = Task {
            shared,
            queue: WriteQueue::new(WriteLimits::default()),
            began: Instant::now(),
            under_way: JoinSet::new(),
        };
        tokio::spawn(task.run(receiver));
        Self { arrivals }
    }

    /// Has these written: one outcome each, in order; an error if one of them could not be, or it is not known.
    pub(super) async fn write(
        &self,
        device: &DeviceName,
        writes: Vec<Write>,
    ) -> Result<Vec<WriteOutcome>, Unavailable> {
        let mut outcomes = Vec::with_capacity(writes.len());
        let mut writes = writes.into_iter().peekable();
        while writes.peek().is_some() {
            let some = writes.by_ref().take(AT_ONCE_MAX).collect();
            outcomes.extend(self.write_at_once(device, some).await?);
        }
        Ok(outcomes)
    }

    async fn write_at_once(
        &self,
        device: &DeviceName,
        writes: Vec<Write>,
    ) -> Result<Vec<WriteOutcome>, Unavailable> {
        let mut waiting = Vec::with_capacity(writes.len());
        let writes = writes.into_iter().map(|write| {
            let (ticket, outcome) = oneshot::channel();
            waiting.push(outcome);
            (write, ticket)
        });
        let (refused, refusal) = oneshot::channel();
        let arrival = Arrival {
            device: device.clone(),
            writes: writes.collect(),
            refused,
        };
        let unavailable = Unavailable { retry_after_ms: None };
        self.arrivals.try_send(arrival).map_err(|_| unavailable)?;
        let mut outcomes = Vec::with_capacity(waiting.len());
        for outcome in waiting {
            match outcome.await {
                Ok(outcome) => outcomes.push(outcome?),
                // Refused, or the task has ended, which happens with the process only.
                Err(_) => return Err(refusal.await.unwrap_or(unavailable)),
            }
        }
        Ok(outcomes)
    }
}

struct Task {
    shared: Arc<Shared>,
    queue: WriteQueue<Ticket>,
    /// Zero of the monotonic clock.
    began: Instant,
    /// As many as the queue lets out.
    under_way: JoinSet<(ObjectKey, SendResult)>,
}

impl Task {
    async fn run(mut self, mut arrivals: mpsc::Receiver<Arrival>) {
        loop {
            let deadline_ms = self.send_all();
            let waiting = i64::try_from(self.queue.unanswered()).unwrap_or(i64::MAX);
            self.shared.metrics.kube_writes_waiting.set(waiting);
            let deadline = deadline_ms.map(|at_ms| self.began + Duration::from_millis(at_ms));
            let far = Instant::now() + Duration::from_secs(3600);
            // Cancel-safe: a channel's recv(), join_next(), and a wait for a time.
            tokio::select! {
                arrival = arrivals.recv() => match arrival {
                    Some(arrival) => self.take_in(arrival),
                    None => return,
                },
                Some(ended) = self.under_way.join_next(), if !self.under_way.is_empty() => {
                    // An error is a task that was cancelled with the runtime.
                    if let Ok((key, result)) = ended {
                        tell(self.queue.done(&key, result, self.now_ms()));
                    }
                }
                () = tokio::time::sleep_until(deadline.unwrap_or(far).into()), if deadline.is_some() => {}
            }
        }
    }

    fn take_in(&mut self, arrival: Arrival) {
        let now_ms = self.now_ms();
        if let Err(refused) = self.queue.push_all(&arrival.device, arrival.writes, now_ms) {
            let retry_after_ms = match refused {
                Refused::Full => None,
                Refused::Paused { retry_after_ms } => Some(retry_after_ms),
            };
            // Whoever is gone needs no answer.
            let _ = arrival.refused.send(Unavailable { retry_after_ms });
        }
    }

    /// Sends what can be sent now; when to ask again.
    fn send_all(&mut self) -> Option<u64> {
        loop {
            let cache = &self.shared.cache;
            let current = |key: &ObjectKey| match key {
                ObjectKey::Device(device) => cache.device(device).map(|known| Current::Device(known.read)),
                ObjectKey::Process(process) => {
                    cache.process(process).map(|known| Current::Process(known.read))
                }
            };
            match self
                .queue
                .next(self.now_ms(), current, |ticket| !ticket.is_closed())
            {
                Next::Send(request) => self.send(request),
                Next::Answers(answers) => tell(answers),
                Next::Wait(deadline_ms) => return deadline_ms,
            }
        }
    }

    fn send(&mut self, request: Request) {
        if request.writes > 1 {
            events::WritesCoalesced {
                saved: request.writes - 1,
            }
            .emit(&self.shared.metrics);
        }
        let shared = self.shared.clone();
        self.under_way.spawn(async move {
            // Whatever happens, the queue has to hear of it: the object's other writes wait for that.
            let patched = AssertUnwindSafe(patched(&shared, &request)).catch_unwind().await;
            let unavailable = SendResult::Unavailable { retry_after_ms: None };
            (request.key, patched.unwrap_or(unavailable))
        });
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn tell(answers: Vec<Answer<Ticket>>) {
    for Answer { ticket, outcome } in answers {
        // Whoever is gone needs no answer.
        let _ = ticket.send(outcome);
    }
}

/// One request, and what it came to.
async fn patched(shared: &Shared, request: &Request) -> SendResult {
    let answer = match (&request.key, &request.change) {
        (ObjectKey::Device(device), StatusChange::Device { from, to }) => {
            let known = shared.cache.device(device);
            match patch_of(known, &request.expected, &**to) {
                Patching::Outdated => return SendResult::Conflict,
                Patching::Nothing => return SendResult::Written(request.expected.clone()),
                Patching::Patch(patch) => {
                    let raw = shared.requests.patch_device(device, patch).await;
                    raw.inspect(|raw| shared.announcer.device_written(raw, from, to))
                        .map(|raw| written::<DeviceObject>(shared, &raw))
                }
            }
        }
        (ObjectKey::Process(process), StatusChange::Process { from, to }) => {
            let known = shared.cache.process(process);
            match patch_of(known, &request.expected, &**to) {
                Patching::Outdated => return SendResult::Conflict,
                Patching::Nothing => return SendResult::Written(request.expected.clone()),
                Patching::Patch(patch) => {
                    let raw = shared.requests.patch_process(process, patch).await;
                    raw.inspect(|raw| shared.announcer.process_written(raw, from, to))
                        .map(|raw| written::<ProcessObject>(shared, &raw))
                }
            }
        }
        // The queue makes the change of the key's kind.
        _ => return SendResult::Unavailable { retry_after_ms: None },
    };
    answer.unwrap_or_else(|failure| failed(shared, &request.key, &failure))
}

enum Patching {
    Patch(Value),
    /// What is stored says so already.
    Nothing,
    /// The cache has moved on: the request would only be refused.
    Outdated,
}

fn patch_of<T: Stored>(known: Option<Known<T>>, expected: &ResourceVersion, wanted: &T::Status) -> Patching {
    let Some(known) = known.filter(|known| known.read.version == *expected) else {
        return Patching::Outdated;
    };
    let stored = match known.raw_status {
        Some(raw) => Some(*raw),
        None => object::own_form(known.read.object.status()),
    };
    let patch = stored
        .zip(object::own_form(wanted))
        .and_then(|(stored, wanted)| patch::status_patch(&stored, &wanted, expected));
    patch.map_or(Patching::Nothing, Patching::Patch)
}

/// The object after the write goes into the cache, so that the next write needs no read.
fn written<T: Cached>(shared: &Shared, raw: &RawObject) -> SendResult {
    let version = raw.metadata.resource_version.clone().unwrap_or_default();
    drop(shared.requests.taken_in::<T>(raw));
    SendResult::Written(ResourceVersion(version))
}

fn failed(shared: &Shared, key: &ObjectKey, failure: &Failure) -> SendResult {
    let millis =
        |after: &Option<Duration>| after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
    match failure {
        Failure::Conflict => SendResult::Conflict,
        Failure::Missing => {
            match key {
                ObjectKey::Device(device) => DeviceObject::forget(&shared.cache, device),
                ObjectKey::Process(process) => ProcessObject::forget(&shared.cache, process),
            }
            SendResult::Gone
        }
        Failure::TooManyRequests { retry_after } => SendResult::TooManyRequests {
            retry_after_ms: millis(retry_after),
        },
        Failure::Unavailable { retry_after } => SendResult::Unavailable {
            retry_after_ms: millis(retry_after),
        },
        Failure::Forbidden | Failure::Invalid | Failure::UnknownKind => {
            SendResult::Unavailable { retry_after_ms: None }
        }
    }
}
