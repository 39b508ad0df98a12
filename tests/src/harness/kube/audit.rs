//! What the API server was asked, from its own audit log.

use std::{
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::Path,
};

use anyhow::Context;
use serde::Deserialize;

/// A request that was answered. The names are empty where it has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who asked.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// API group; empty for the core group, too.
    pub group: String,
    /// Plural name of the kind; empty for paths that are no resources.
    pub resource: String,
    /// `status` or the like.
    pub subresource: String,
    /// Namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// HTTP status of the answer.
    pub code: u16,
    /// Path and query.
    pub uri: String,
}

/// A place in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditMark(u64);

impl AuditMark {
    /// Where the log begins.
    pub const START: Self = Self(0);
}

/// An event as the server writes it (audit.k8s.io/v1), as far as it is read here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: EventUser,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
}

#[derive(Deserialize)]
struct EventUser {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

impl Event {
    /// The entry of an answered request: a watch has been answered when it has begun.
    fn entry(self) -> Option<AuditEntry> {
        let answered = match &*self.verb {
            "watch" => "ResponseStarted",
            _ => "ResponseComplete",
        };
        (self.stage == answered).then_some(AuditEntry {
            user: self.user.username,
            verb: self.verb,
            group: self.object_ref.api_group,
            resource: self.object_ref.resource,
            subresource: self.object_ref.subresource,
            namespace: self.object_ref.namespace,
            name: self.object_ref.name,
            code: self.response_status.code,
            uri: self.request_uri,
        })
    }
}

/// The end of the log as it is now.
pub(super) fn end(log: &Path) -> anyhow::Result<AuditMark> {
    Ok(AuditMark(std::fs::metadata(log)?.len()))
}

/// The entries after `mark`. A line that is being written is left for the next time.
pub(super) fn since(log: &Path, mark: AuditMark) -> anyhow::Result<Vec<AuditEntry>> {
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(mark.0))?;
    let mut lines = BufReader::new(file);
    let (mut entries, mut line) = (Vec::new(), String::new());
    while lines.read_line(&mut line)? > 0 && line.ends_with('\n') {
        let event: Event = serde_json::from_str(&line).with_context(|| format!("audit log: {line}"))?;
        entries.extend(event.entry());
        line.clear();
    }
    Ok(entries)
}
