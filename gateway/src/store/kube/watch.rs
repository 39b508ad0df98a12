//! The watches of both kinds: into the cache first, then told.
//!
//! kube's watcher lists, watches, resumes where it was cut off, and lists again when the API server has forgotten that
//! place (410). It does so in silence, so whether it still hears anything is known from below ([`super::hearing`]). When
//! it does not for too long, the watch is ended: the gateway says so in `/readyz`, serves no desired state, and begins
//! anew as at its start. That is the same as after any outage in which nobody could report: the silence of devices counts
//! from its end.

use std::{
    collections::HashSet,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use apollo_gateway_core::object::{DeviceObject, ProcessObject, Versioned};
use apollo_wire::{DeviceName, ProcessRef};
use futures_util::{Stream, StreamExt, future::OptionFuture};
use kube::runtime::watcher::{self, Event};
use tokio::sync::mpsc;

use super::{
    Shared,
    cache::{Cache, Cached},
    failure::Doing,
    hearing::WATCH_SECONDS,
    object::{self, Known, RawObject},
};
use crate::{events, manifest::Kind, store::Change};

/// Changes that wait for their reader; more slow the watch down.
const CHANGES_WAITING: usize = 1024;
/// Pause after a failed request of a watch: an API server that starts is asked by every replica.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked whether something was heard.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Events = Pin<Box<dyn Stream<Item = watcher::Result<Event<RawObject>>> + Send>>;

/// The watch of one kind.
struct Following<T: Cached> {
    events: Events,
    /// Keys met by the list under way.
    listed: Option<HashSet<T::Key>>,
    /// Everything that exists was told once.
    is_complete: bool,
    /// After an error it is not asked before.
    not_before: Option<Instant>,
}

/// A kind whose changes can be told.
trait Told: Cached {
    fn changed(read: Versioned<Self>) -> Change;
    fn gone(key: Self::Key) -> Change;
}

/// Starts it.
pub(super) fn start(shared: Arc<Shared>) -> mpsc::Receiver<Change> {
    let (changes, receiver) = mpsc::channel(CHANGES_WAITING);
    tokio::spawn(async move {
        let reader = changes.clone();
        // Cancel-safe: what was not told when its reader went is nobody's loss.
        tokio::select! {
            () = follow(&shared, &changes) => {}
            () = reader.closed() => {}
        }
    });
    receiver
}

/// Until the watch is broken.
async fn follow(shared: &Shared, changes: &mpsc::Sender<Change>) {
    shared.heard.reset();
    let mut devices = Following::<DeviceObject>::of(shared);
    let mut processes = Following::<ProcessObject>::of(shared);
    let mut told_all = false;
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        // Devices first: a process is judged by the state of its device.
        let next_process: OptionFuture<_> = devices.is_complete.then(|| processes.next()).into();
        // Cancel-safe: streams are only polled, and an interval keeps its ticks.
        let told = tokio::select! {
            event = devices.next() => devices.take_in(shared, changes, event).await,
            Some(event) = next_process => processes.take_in(shared, changes, event).await,
            _ = look.tick() => Ok(()),
        };
        if told.is_err() {
            return;
        }
        if !told_all && devices.is_complete && processes.is_complete {
            told_all = true;
            shared.cache.set_complete();
            if changes.send(Change::Synced).await.is_err() {
                return;
            }
        }
        if told_all && is_broken(shared) {
            return;
        }
    }
}

/// Whether one of the watches can no longer be trusted.
fn is_broken(shared: &Shared) -> bool {
    let now = Instant::now();
    let broken = [Kind::Device, Kind::DeviceProcess]
        .into_iter()
        .find_map(|kind| Some((kind, shared.heard.broken(kind, now)?)));
    if let Some((kind, silent)) = broken {
        events::WatchBroken {
            kind: kind.as_str(),
            silent,
        }
        .emit();
    }
    broken.is_some()
}

/// The reader is gone.
struct NobodyListens;

impl<T: Told> Following<T> {
    fn of(shared: &Shared) -> Self {
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        Self {
            events: watcher::watcher(shared.requests.all(T::KIND), config).boxed(),
            listed: None,
            is_complete: false,
            not_before: None,
        }
    }

    /// The next event. Cancel-safe.
    async fn next(&mut self) -> watcher::Result<Event<RawObject>> {
        if let Some(at) = self.not_before {
            tokio::time::sleep_until(at.into()).await;
            self.not_before = None;
        }
        match self.events.next().await {
            Some(event) => event,
            // The watcher goes on for ever.
            None => std::future::pending().await,
        }
    }

    async fn take_in(
        &mut self,
        shared: &Shared,
        changes: &mpsc::Sender<Change>,
        event: watcher::Result<Event<RawObject>>,
    ) -> Result<(), NobodyListens> {
        let change = match event {
            Err(error) => {
                self.failed(shared, &error);
                return Ok(());
            }
            Ok(Event::Init) => {
                self.listed = Some(HashSet::new());
                if self.is_complete {
                    events::WatchListsAnew {
                        kind: T::KIND.as_str(),
                    }
                    .emit(&shared.metrics);
                }
                None
            }
            Ok(Event::InitApply(raw)) => {
                if let (Some(listed), Ok(key)) = (&mut self.listed, T::key_of(&raw)) {
                    listed.insert(key);
                }
                changed::<T>(shared, &raw, Cache::take_in_listed)
            }
            Ok(Event::Apply(raw)) => changed::<T>(shared, &raw, |cache, known| {
                cache.take_in(known);
            }),
            Ok(Event::Delete(raw)) => T::key_of(&raw).ok().map(|key| {
                T::forget(&shared.cache, &key);
                T::gone(key)
            }),
            Ok(Event::InitDone) => {
                self.is_complete = true;
                let listed = self.listed.take().unwrap_or_default();
                for key in T::forget_others(&shared.cache, &listed) {
                    changes.send(T::gone(key)).await.map_err(|_| NobodyListens)?;
                }
                None
            }
        };
        match change {
            Some(change) => changes.send(change).await.map_err(|_| NobodyListens),
            None => Ok(()),
        }
    }

    /// Told once; the requests that fail after it say the same.
    fn failed(&mut self, shared: &Shared, error: &watcher::Error) {
        self.not_before = Some(Instant::now() + PAUSE);
        let doing = match error {
            watcher::Error::InitialListFailed(_) => Doing::to("list", T::KIND),
            _ => Doing::to("watch", T::KIND),
        };
        let line = match error {
            watcher::Error::InitialListFailed(cause)
            | watcher::Error::WatchStartFailed(cause)
            | watcher::Error::WatchFailed(cause) => doing.line(cause),
            // 410: the place to resume is forgotten, and the next thing is a list.
            watcher::Error::WatchError(status) if status.code == 410 => return,
            other => format!("cannot {} {}: {other}", doing.verb, doing.resource()),
        };
        shared.health.failing(doing, line, Instant::now());
    }
}

/// What is new is told; what the cache knows better already is told by the event that is still to come.
fn changed<T: Told>(
    shared: &Shared,
    raw: &RawObject,
    take_in: impl FnOnce(&Cache, Known<T>),
) -> Option<Change> {
    match object::known::<T>(raw) {
        Ok(known) => {
            let read = known.read.clone();
            take_in(&shared.cache, known);
            Some(T::changed(read))
        }
        Err(error) => {
            shared.requests.left_out(raw, T::KIND, &error);
            None
        }
    }
}

impl Told for DeviceObject {
    fn changed(read: Versioned<Self>) -> Change {
        Change::Device(Box::new(read))
    }

    fn gone(device: DeviceName) -> Change {
        Change::DeviceDeleted(device)
    }
}

impl Told for ProcessObject {
    fn changed(read: Versioned<Self>) -> Change {
        Change::Process(Box::new(read))
    }

    fn gone(process: ProcessRef) -> Change {
        Change::ProcessDeleted(process)
    }
}
