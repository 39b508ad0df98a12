//! What an error of the API server means for the one who asked, and the line that tells people what to do about it.

use std::time::Duration;

use kube::Error;

use crate::manifest::{GROUP, Kind};

/// Where the permissions are that a gateway needs.
pub(super) const RBAC: &str = "deploy/kubernetes/base/rbac.yaml";

/// What became of a request that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// 409: somebody wrote first, or the object exists already.
    Conflict,
    /// 404 about an object: there is no such object.
    Missing,
    /// 404 about the path: the API server does not know the kind (yet, or any more). It says nothing about objects.
    UnknownKind,
    /// 429: the API server has too much to do.
    TooManyRequests {
        /// How long to leave it alone, if it said so.
        retry_after: Option<Duration>,
    },
    /// 401 or 403: a person has to do something.
    Forbidden,
    /// 422: the schema refuses what we write, so it is not the one of this version.
    Invalid,
    /// Everything else: no connection, no answer in time, 5xx. It may have been done all the same.
    Unavailable {
        /// How long to leave it alone, if it said so.
        retry_after: Option<Duration>,
    },
}

impl Failure {
    /// Sorts an error.
    pub(super) fn of(error: &Error) -> Self {
        let Error::Api(status) = error else {
            return Self::Unavailable { retry_after: None };
        };
        let seconds = status.details.as_ref().map(|details| details.retry_after_seconds);
        let retry_after = seconds
            .filter(|seconds| *seconds > 0)
            .map(|seconds| Duration::from_secs(seconds.into()));
        match status.code {
            409 => Self::Conflict,
            404 if names_an_object(status) => Self::Missing,
            404 => Self::UnknownKind,
            429 => Self::TooManyRequests { retry_after },
            401 | 403 => Self::Forbidden,
            422 => Self::Invalid,
            _ => Self::Unavailable { retry_after },
        }
    }
}

/// Whether a 404 is about an object. One about a path, which a server gives that starts or whose definition was deleted,
/// has no Status object or none with a name.
fn names_an_object(status: &kube::core::Status) -> bool {
    let details = status.details.as_ref();
    details.is_some_and(|details| !details.name.is_empty())
}

/// What was being done: for the line that says what is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Doing {
    /// The verb, as RBAC has it.
    pub verb: &'static str,
    /// To which kind of object.
    pub kind: Kind,
    /// To its status.
    pub on_status: bool,
}

impl Doing {
    /// A verb on objects of a kind.
    pub(super) fn to(verb: &'static str, kind: Kind) -> Self {
        Self {
            verb,
            kind,
            on_status: false,
        }
    }

    /// Patching the status of an object of a kind.
    pub(super) fn patch_status(kind: Kind) -> Self {
        Self {
            verb: "patch",
            kind,
            on_status: true,
        }
    }

    /// The resource as RBAC has it: `devices/status`.
    pub(super) fn resource(&self) -> String {
        let plural = super::object::resource(self.kind).plural;
        if self.on_status {
            plural + "/status"
        } else {
            plural
        }
    }

    /// One line: what failed, and what to do about it where that is known.
    pub(super) fn line(&self, error: &Error) -> String {
        let (verb, resource) = (self.verb, self.resource());
        match error {
            Error::Api(status) if status.code == 401 => format!(
                "the API server does not accept the credentials ({}); check the kubeconfig's user or the service account",
                status.message
            ),
            Error::Api(status) if status.code == 403 => format!(
                "missing permission to {verb} {resource} in API group {GROUP} ({}); apply {RBAC}",
                status.message
            ),
            Error::Api(status) if status.code == 404 && !names_an_object(status) => format!(
                "CustomResourceDefinition {}.{GROUP} is missing; apply what `apollo-gateway crds` prints",
                super::object::resource(self.kind).plural
            ),
            Error::Api(status) if status.code == 422 => format!(
                "the schema of {resource} refuses what this version writes ({}); apply what `apollo-gateway crds` prints",
                status.message
            ),
            Error::Api(status) => format!("cannot {verb} {resource}: {} ({})", status.message, status.code),
            other => format!("cannot {verb} {resource}: {}", chain(other)),
        }
    }
}

/// An error and its causes, each said once: those of the client repeat their causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(value: serde_json::Value) -> Error {
        Error::Api(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn answers_are_sorted_by_what_they_ask_of_us() {
        for (code, expected) in [
            (409, Failure::Conflict),
            (404, Failure::UnknownKind),
            (403, Failure::Forbidden),
            (401, Failure::Forbidden),
            (422, Failure::Invalid),
            (500, Failure::Unavailable { retry_after: None }),
            (410, Failure::Unavailable { retry_after: None }),
        ] {
            let error = api(serde_json::json!({"code": code, "message": "m"}));
            assert_eq!(Failure::of(&error), expected, "{code}");
        }
        let missing =
            api(serde_json::json!({"code": 404, "details": {"name": "buoy-17", "kind": "devices"}}));
        assert_eq!(Failure::of(&missing), Failure::Missing);
        let busy = api(serde_json::json!({"code": 429, "details": {"retryAfterSeconds": 7}}));
        let retry_after = Some(Duration::from_secs(7));
        assert_eq!(Failure::of(&busy), Failure::TooManyRequests { retry_after });
    }

    #[test]
    fn a_missing_permission_and_a_missing_definition_say_what_to_apply() {
        let doing = Doing {
            verb: "patch",
            kind: Kind::DeviceProcess,
            on_status: true,
        };
        let line = doing.line(&api(serde_json::json!({"code": 403, "message": "no"})));
        assert!(
            line.contains("patch deviceprocesses/status") && line.contains(RBAC),
            "{line}"
        );
        let doing = Doing {
            verb: "list",
            kind: Kind::Device,
            on_status: false,
        };
        let line = doing.line(&api(serde_json::json!({"code": 404, "message": "no"})));
        assert!(
            line.contains("devices.apollo.azure.com is missing") && line.contains("crds"),
            "{line}"
        );
        let line =
            Doing::patch_status(Kind::Device).line(&api(serde_json::json!({"code": 404, "message": "page"})));
        assert!(line.contains("devices.apollo.azure.com is missing"), "{line}");
    }
}
