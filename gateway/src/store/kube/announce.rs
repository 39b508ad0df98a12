//! Kubernetes Events about what people want to know of: a device that is lost, is back, or is blocked; a process that
//! is no longer, or again, as its spec wants it. `kubectl describe` shows them.
//!
//! They are a courtesy: written beside the work, never waited for, limited in rate, and what happens again within
//! [`AGAIN_WITHIN`] raises the count of the Event that is there (core/v1 `count`, `lastTimestamp`). Where the API
//! server has no Events they are silently not written.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use apollo_gateway_core::{
    conditions,
    object::{Condition, DeviceState, DeviceStatus, ProcessStatus},
};
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::sync::mpsc;

use super::{
    api::FIELD_MANAGER,
    failure::{Failure, RBAC},
    object::{RawObject, Unreadable},
};
use crate::{
    events,
    manifest::{API_VERSION, DEFAULT_NAMESPACE, Kind},
};

/// Announcements that wait; what comes on top is not written. An outage that silences a fleet needs no Event for each
/// device to be noticed.
const WAITING_MAX: usize = 256;
/// Least time between two requests: an API server's own limit for a client's Events is of this order.
const PACE: Duration = Duration::from_millis(200);
/// The same thing about the same object within this time is one Event. As long as the API server's own clients take.
const AGAIN_WITHIN: Duration = Duration::from_secs(10 * 60);
/// Events remembered for that.
const REMEMBERED_MAX: usize = 4_096;
/// After a refusal for want of permission it is tried again so much later.
const REFUSED_FOR: Duration = Duration::from_secs(10 * 60);

/// Something that happened to an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Announcement {
    object: ObjectReference,
    reason: &'static str,
    message: String,
    is_warning: bool,
}

/// Where announcements are left.
#[derive(Clone)]
pub(super) struct Announcer {
    waiting: mpsc::Sender<Announcement>,
}

impl Announcer {
    /// Starts the task that writes them; it ends with the last handle.
    pub(super) fn start(client: Client) -> Self {
        let (waiting, announcements) = mpsc::channel(WAITING_MAX);
        tokio::spawn(Writer::new(client).run(announcements));
        Self { waiting }
    }

    /// A Device's status was written.
    pub(super) fn device_written(&self, raw: &RawObject, before: &DeviceStatus, after: &DeviceStatus) {
        let Some((reason, message, is_warning)) = device_news(before.state, after.state) else {
            return;
        };
        self.leave(Announcement {
            object: reference(Kind::Device, raw),
            reason,
            message: message.to_owned(),
            is_warning,
        });
    }

    /// A DeviceProcess's status was written.
    pub(super) fn process_written(&self, raw: &RawObject, before: &ProcessStatus, after: &ProcessStatus) {
        let Some((reason, message, is_warning)) = process_news(before, after) else {
            return;
        };
        self.leave(Announcement {
            object: reference(Kind::DeviceProcess, raw),
            reason,
            message,
            is_warning,
        });
    }

    /// An object cannot be used: whoever applied it should see why nothing happens.
    pub(super) fn left_out(&self, raw: &RawObject, kind: Kind, error: &Unreadable) {
        self.leave(Announcement {
            object: reference(kind, raw),
            reason: "NotServed",
            message: error.detail.clone(),
            is_warning: true,
        });
    }

    fn leave(&self, announcement: Announcement) {
        // Full: see WAITING_MAX.
        let _ = self.waiting.try_send(announcement);
    }
}

/// Sleeping and waking is what such devices do, and no news.
fn device_news(before: DeviceState, after: DeviceState) -> Option<(&'static str, &'static str, bool)> {
    use DeviceState::{Blocked, Connected, Lost, Unknown};
    match (before, after) {
        (Blocked, Blocked) | (Lost, Lost) => None,
        (_, Lost) => Some(("DeviceLost", "no report within the expected window", true)),
        (_, Blocked) => Some(("DeviceBlocked", "the device is blocked and may not report", true)),
        (Lost | Blocked | Unknown, Connected) => Some(("DeviceConnected", "the device reports", false)),
        _ => None,
    }
}

/// A process that becomes, or ceases to be, as its spec wants it.
fn process_news(before: &ProcessStatus, after: &ProcessStatus) -> Option<(&'static str, String, bool)> {
    let ready = |status: &ProcessStatus| {
        conditions::find(&status.conditions, conditions::READY).map(|ready: &Condition| ready.status.clone())
    };
    let (was, is) = (ready(before), ready(after)?);
    if was.as_ref() == Some(&is) {
        return None;
    }
    let state = after
        .state
        .map_or("Unknown".to_owned(), |state| format!("{state:?}"));
    let mut message = format!("state {state}");
    if let Some(code) = after.exit_code {
        message = format!("{message}, exit code {code}");
    }
    if !after.reason.is_empty() {
        message = format!("{message}: {}", after.reason);
    }
    match is.as_str() {
        "True" => Some(("ProcessReady", message, false)),
        // The first word about a process that is still starting is no alarm.
        "False" if was.as_deref() == Some("True") => Some(("ProcessNotReady", message, true)),
        _ => None,
    }
}

fn reference(kind: Kind, raw: &RawObject) -> ObjectReference {
    ObjectReference {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some(kind.as_str().to_owned()),
        name: raw.metadata.name.clone(),
        namespace: raw.metadata.namespace.clone(),
        uid: raw.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// An Event that may happen again.
struct Written {
    name: String,
    namespace: String,
    count: i32,
    last: Instant,
}

struct Writer {
    client: Client,
    known: HashMap<(Option<String>, &'static str, String), Written>,
    quiet_until: Option<Instant>,
}

impl Writer {
    fn new(client: Client) -> Self {
        Self {
            client,
            known: HashMap::new(),
            quiet_until: None,
        }
    }

    async fn run(mut self, mut announcements: mpsc::Receiver<Announcement>) {
        while let Some(announcement) = announcements.recv().await {
            if self.quiet_until.is_some_and(|until| Instant::now() < until) {
                continue;
            }
            match self.write(announcement).await {
                Ok(()) => self.quiet_until = None,
                // There are no Events here.
                Err(Failure::UnknownKind) => return,
                Err(Failure::Forbidden) => {
                    let line = format!("missing permission to create and patch events; apply {RBAC}");
                    events::EventsRefused { line: &line }.emit();
                    self.quiet_until = Some(Instant::now() + REFUSED_FOR);
                }
                Err(_) => {}
            }
            tokio::time::sleep(PACE).await;
        }
    }

    async fn write(&mut self, announcement: Announcement) -> Result<(), Failure> {
        let key = (
            announcement.object.uid.clone(),
            announcement.reason,
            announcement.message.clone(),
        );
        let now = Instant::now();
        self.known
            .retain(|_, written| now.duration_since(written.last) < AGAIN_WITHIN);
        if let Some(written) = self.known.get_mut(&key) {
            let counted = json!({"count": written.count + 1, "lastTimestamp": Time(Timestamp::now())});
            let api: Api<Event> = Api::namespaced(self.client.clone(), &written.namespace);
            let params = PatchParams::default();
            match api.patch(&written.name, &params, &Patch::Merge(counted)).await {
                Ok(_) => {
                    written.count += 1;
                    written.last = now;
                    return Ok(());
                }
                Err(error) if Failure::of(&error) == Failure::Missing => {}
                Err(error) => return Err(Failure::of(&error)),
            }
        }
        let event = event(announcement);
        let name = event.metadata.name.clone().unwrap_or_default();
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        api.create(&PostParams::default(), &event)
            .await
            .map_err(|error| Failure::of(&error))?;
        if self.known.len() < REMEMBERED_MAX {
            let written = Written {
                name,
                namespace,
                count: 1,
                last: now,
            };
            self.known.insert(key, written);
        }
        Ok(())
    }
}

fn event(announcement: Announcement) -> Event {
    let Announcement {
        object,
        reason,
        message,
        is_warning,
    } = announcement;
    let now = Timestamp::now();
    // Named as the API server's own clients name theirs.
    let name = format!(
        "{}.{:x}",
        object.name.as_deref().unwrap_or_default(),
        now.as_nanosecond()
    );
    // An object without a namespace has its Events in the default one.
    let namespace = object
        .namespace
        .clone()
        .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    Event {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace),
            ..ObjectMeta::default()
        },
        involved_object: object,
        reason: Some(reason.to_owned()),
        message: Some(message),
        type_: Some(if is_warning { "Warning" } else { "Normal" }.to_owned()),
        action: Some(reason.to_owned()),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        event_time: Some(MicroTime(now)),
        reporting_component: Some(FIELD_MANAGER.to_owned()),
        reporting_instance: Some(FIELD_MANAGER.to_owned()),
        source: Some(EventSource {
            component: Some(FIELD_MANAGER.to_owned()),
            host: None,
        }),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use apollo_gateway_core::conditions::Saying;
    use apollo_wire::UnixMillis;

    use super::*;

    #[test]
    fn devices_are_news_when_they_are_lost_blocked_or_back_and_not_when_they_sleep() {
        use DeviceState::{Blocked, Connected, Lost, Sleeping, Unknown};
        let reason = |before, after| device_news(before, after).map(|(reason, _, _)| reason);
        assert_eq!(reason(Connected, Lost), Some("DeviceLost"));
        assert_eq!(reason(Sleeping, Lost), Some("DeviceLost"));
        assert_eq!(reason(Lost, Connected), Some("DeviceConnected"));
        assert_eq!(reason(Unknown, Connected), Some("DeviceConnected"));
        assert_eq!(reason(Connected, Blocked), Some("DeviceBlocked"));
        for (before, after) in [
            (Connected, Sleeping),
            (Sleeping, Connected),
            (Lost, Lost),
            (Connected, Connected),
        ] {
            assert_eq!(reason(before, after), None);
        }
    }

    #[test]
    fn processes_are_news_when_they_become_ready_and_when_they_cease_to_be() {
        let status = |saying: Option<Saying>| {
            let mut status = ProcessStatus {
                state: Some(apollo_wire::ProcessState::Failed),
                exit_code: Some(3),
                reason: "Exited".to_owned(),
                ..ProcessStatus::default()
            };
            if let Some(saying) = saying {
                conditions::set(&mut status.conditions, saying, Some(1), UnixMillis::default());
            }
            status
        };
        let news = |before, after| process_news(&status(before), &status(after));
        assert_eq!(news(None, Some(Saying::NotAsDesired)), None);
        assert_eq!(news(None, Some(Saying::Ready)).unwrap().0, "ProcessReady");
        let (reason, message, is_warning) = news(Some(Saying::Ready), Some(Saying::NotAsDesired)).unwrap();
        assert_eq!((reason, is_warning), ("ProcessNotReady", true));
        assert_eq!(message, "state Failed, exit code 3: Exited");
        assert_eq!(news(Some(Saying::NotAsDesired), Some(Saying::NotAsDesired)), None);
    }
}
