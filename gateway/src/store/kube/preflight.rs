//! Before anything is served: is the API server there, does it know our kinds, and may we do what we will have to do?
//!
//! Each verb is tried on something that changes nothing: a list of one, an object that does not exist, a dry run. The
//! API server decides about permission before it looks for the object, so a 404 means yes. What is refused is told at
//! once, all of it in one line.

use std::time::Duration;

use kube::{
    Error,
    api::{ListParams, Patch, PatchParams, PostParams, WatchParams},
};
use serde_json::json;

use super::{
    api::{FIELD_MANAGER, Requests},
    failure::{Doing, Failure},
    object::RawObject,
};
use crate::manifest::{API_VERSION, Kind};

/// All of it together: a start that fails does so within 5 s.
const WITHIN: Duration = Duration::from_secs(4);
/// Pause before everything is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(300);
/// The name of an object that does not exist. Were it there, a dry run would still change nothing.
const NOBODY: &str = "apollo-gateway-permission-check";

/// Why the cluster cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// No answer.
    #[error("--store kube: the API server at {server} cannot be reached: {reason}")]
    Unreachable {
        /// Where.
        server: String,
        /// Why.
        reason: String,
    },
    /// An answer, and it is no: one thing after the other, each with what to do about it.
    #[error("--store kube: {}", .0.join("; "))]
    Refused(Vec<String>),
}

/// Tries everything at once.
pub(super) async fn check(requests: &Requests, server: &str) -> Result<(), PreflightError> {
    let unreachable = |reason: String| PreflightError::Unreachable {
        server: server.to_owned(),
        reason,
    };
    match tokio::time::timeout(WITHIN, tried_until_told(requests)).await {
        Err(_) => Err(unreachable(format!("no answer within {WITHIN:?}"))),
        Ok(refused) if refused.is_empty() => Ok(()),
        Ok(refused) => {
            let silent = refused.iter().find(|(_, error)| !matches!(error, Error::Api(_)));
            if let Some((doing, error)) = silent {
                return Err(unreachable(doing.line(error)));
            }
            let mut lines: Vec<String> = refused.iter().map(|(doing, error)| doing.line(error)).collect();
            // Without credentials or definitions everything fails for one reason.
            lines.dedup();
            Err(PreflightError::Refused(lines))
        }
    }
}

/// What was refused, once the API server has an answer: one that starts or is busy (429, 5xx) has none yet.
async fn tried_until_told(requests: &Requests) -> Vec<(Doing, Error)> {
    loop {
        let refused = tried(requests).await;
        let is_busy = |(_, error): &(Doing, Error)| {
            matches!(error, Error::Api(_))
                && matches!(
                    Failure::of(error),
                    Failure::TooManyRequests { .. } | Failure::Unavailable { .. }
                )
        };
        if !refused.iter().any(is_busy) {
            return refused;
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// What was refused.
async fn tried(requests: &Requests) -> Vec<(Doing, Error)> {
    let mut refused = Vec::new();
    // A missing definition answers everything else with 404 as well, so it is asked for first.
    let lists =
        futures_util::future::join(list(requests, Kind::Device), list(requests, Kind::DeviceProcess)).await;
    refused.extend(lists.0);
    refused.extend(lists.1);
    if refused.is_empty() {
        let reads = tokio::join!(
            reads(requests, Kind::Device),
            reads(requests, Kind::DeviceProcess)
        );
        refused.extend(reads.0);
        refused.extend(reads.1);
        // One by one: a busy API server takes few writes at once.
        refused.extend(patch(requests, Kind::Device).await);
        refused.extend(patch(requests, Kind::DeviceProcess).await);
        refused.extend(create(requests).await);
    }
    refused
}

async fn list(requests: &Requests, kind: Kind) -> Option<(Doing, Error)> {
    let listed = requests.all(kind).list(&ListParams::default().limit(1)).await;
    listed.err().map(|error| (Doing::to("list", kind), error))
}

async fn reads(requests: &Requests, kind: Kind) -> Vec<(Doing, Error)> {
    let (all, one) = (requests.all(kind), requests.one_of(kind));
    // Of nobody, so that nothing is sent.
    let watch = WatchParams::default()
        .timeout(1)
        .fields(&format!("metadata.name={NOBODY}"));
    let (got, watched) = tokio::join!(one.get(NOBODY), all.watch(&watch, "0"));
    let tried = [
        (Doing::to("get", kind), got.err()),
        (Doing::to("watch", kind), watched.err()),
    ];
    tried
        .into_iter()
        .filter_map(|(doing, error)| Some((doing, error.filter(is_refusal)?)))
        .collect()
}

async fn patch(requests: &Requests, kind: Kind) -> Option<(Doing, Error)> {
    let params = PatchParams {
        dry_run: true,
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let nothing = Patch::Merge(json!({"status": {}}));
    let patched = requests
        .one_of(kind)
        .patch_status(NOBODY, &params, &nothing)
        .await;
    let refused = patched.err().filter(is_refusal);
    refused.map(|error| (Doing::patch_status(kind), error))
}

/// That nobody is there was to be expected.
fn is_refusal(error: &Error) -> bool {
    !matches!(Failure::of(error), Failure::Missing)
}

async fn create(requests: &Requests) -> Option<(Doing, Error)> {
    let object: RawObject = serde_json::from_value(json!({
        "apiVersion": API_VERSION, "kind": Kind::Device.as_str(), "metadata": {"name": NOBODY}, "spec": {},
    }))
    .ok()?;
    let params = PostParams {
        dry_run: true,
        field_manager: Some(FIELD_MANAGER.to_owned()),
    };
    let created = requests.devices().create(&params, &object).await;
    // Where one of that name exists, creating it was allowed.
    let counts = |error: &Error| Failure::of(error) != Failure::Conflict;
    created
        .err()
        .filter(counts)
        .map(|error| (Doing::to("create", Kind::Device), error))
}
