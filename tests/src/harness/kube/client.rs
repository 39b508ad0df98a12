//! The Kubernetes API in JSON, as one user.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, Request, header};
use serde_json::Value;
use ureq::{
    Agent,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem},
};

use super::kind::Kind;
use crate::harness::{PATIENCE, wait};

/// Largest answer read: a list of tens of thousands of objects, with room.
const MAX_ANSWER_BYTES: u64 = 512 * 1024 * 1024;

/// What a server says for a moment after its start, with 429, to lists of a kind whose objects it has not read yet. It is
/// ready before that.
const INITIALIZING: &str = "storage is (re)initializing";
/// Until it is asked again; it takes some ten milliseconds.
const INITIALIZING_PAUSE: Duration = Duration::from_millis(20);

/// A request that has not done what it should.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// The API server has answered with an error.
    #[error("{code}: {message}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// The message of the Status object, or the body where it is none.
        message: String,
        /// The Status object (`Null` where the body is none): `reason`, `details`.
        status: Value,
    },
    /// There is no answer: nobody listens, or the time is over.
    #[error("no answer from the API server")]
    NoAnswer(#[source] Box<ureq::Error>),
    /// The answer is not JSON.
    #[error("an answer that is not JSON")]
    NotJson(#[source] serde_json::Error),
}

impl KubeError {
    /// The HTTP status of an answer.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::NoAnswer(_) | Self::NotJson(_) => None,
        }
    }
}

/// What the body of a request is.
#[derive(Debug, Clone, Copy)]
enum Body {
    Object,
    Apply,
    MergePatch,
}

impl Body {
    fn media_type(self) -> &'static str {
        match self {
            Self::Object => "application/json",
            // JSON is YAML; servers before 1.32 know only this name.
            Self::Apply => "application/apply-patch+yaml",
            Self::MergePatch => "application/merge-patch+json",
        }
    }
}

/// A connection to the API server as one user. Clones share it; any number of threads may use it at once.
#[derive(Debug, Clone)]
pub struct KubeClient {
    agent: Agent,
    server: String,
    token: String,
}

impl KubeClient {
    /// `server` is a URL, `ca` PEM. Nothing is sent yet.
    pub(super) fn new(server: &str, ca: &str, token: &str) -> anyhow::Result<Self> {
        let certificates: Vec<Certificate<'static>> = parse_pem(ca.as_bytes())
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
            .collect::<Result<_, _>>()?;
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::new_with_certs(&certificates))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build();
        Ok(Self {
            agent: config.into(),
            server: server.to_owned(),
            token: token.to_owned(),
        })
    }

    /// One object.
    pub fn get(&self, kind: Kind<'_>, name: &str) -> Result<Value, KubeError> {
        self.request(Method::GET, &kind.path(Some(name), None), None)
    }

    /// The list of all objects of a kind, in its namespace if it has one; `query` such as `fieldSelector=a%3Db`, or
    /// empty.
    pub fn list(&self, kind: Kind<'_>, query: &str) -> Result<Value, KubeError> {
        self.request(Method::GET, &format!("{}?{query}", kind.path(None, None)), None)
    }

    /// The objects of [`KubeClient::list`] alone.
    pub fn items(&self, kind: Kind<'_>) -> Result<Vec<Value>, KubeError> {
        let mut list = self.list(kind, "")?;
        Ok(match list["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        })
    }

    /// Creates an object.
    pub fn create(&self, kind: Kind<'_>, object: &Value) -> Result<Value, KubeError> {
        self.request(Method::POST, &kind.path(None, None), Some((Body::Object, object)))
    }

    /// Replaces an object; 409 if it carries a resourceVersion that is no longer its own.
    pub fn replace(&self, kind: Kind<'_>, name: &str, object: &Value) -> Result<Value, KubeError> {
        self.request(
            Method::PUT,
            &kind.path(Some(name), None),
            Some((Body::Object, object)),
        )
    }

    /// Server-side apply, as the field manager `manager`, without force.
    pub fn apply(
        &self,
        kind: Kind<'_>,
        name: &str,
        manager: &str,
        object: &Value,
    ) -> Result<Value, KubeError> {
        self.apply_to(&kind.path(Some(name), None), manager, object)
    }

    /// As [`KubeClient::apply`], of the subresource status.
    pub fn apply_status(
        &self,
        kind: Kind<'_>,
        name: &str,
        manager: &str,
        object: &Value,
    ) -> Result<Value, KubeError> {
        self.apply_to(&kind.path(Some(name), Some("status")), manager, object)
    }

    fn apply_to(&self, path: &str, manager: &str, object: &Value) -> Result<Value, KubeError> {
        let path = format!("{path}?fieldManager={manager}");
        self.request(Method::PATCH, &path, Some((Body::Apply, object)))
    }

    /// JSON merge patch (RFC 7396); conditional if it says `metadata.resourceVersion`.
    pub fn merge_patch(&self, kind: Kind<'_>, name: &str, patch: &Value) -> Result<Value, KubeError> {
        let path = kind.path(Some(name), None);
        self.request(Method::PATCH, &path, Some((Body::MergePatch, patch)))
    }

    /// As [`KubeClient::merge_patch`], of the subresource status.
    pub fn merge_patch_status(&self, kind: Kind<'_>, name: &str, patch: &Value) -> Result<Value, KubeError> {
        let path = kind.path(Some(name), Some("status"));
        self.request(Method::PATCH, &path, Some((Body::MergePatch, patch)))
    }

    /// Deletes an object.
    pub fn delete(&self, kind: Kind<'_>, name: &str) -> Result<Value, KubeError> {
        self.request(Method::DELETE, &kind.path(Some(name), None), None)
    }

    /// `GET` of any path, such as `/apis`. The answer must be JSON.
    pub fn get_path(&self, path: &str) -> Result<Value, KubeError> {
        self.request(Method::GET, path, None)
    }

    /// Whether `/readyz` answers with 200, within a second.
    pub(super) fn is_ready(&self) -> bool {
        let answer = self
            .agent
            .get(format!("{}/readyz", self.server))
            .config()
            .timeout_global(Some(Duration::from_secs(1)))
            .build()
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .call();
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    /// Sends a request, and sends it again while the server has just started and is reading the kind's objects.
    fn request(&self, method: Method, path: &str, body: Option<(Body, &Value)>) -> Result<Value, KubeError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.request_once(&method, path, body) {
                Err(KubeError::Refused {
                    code: 429, message, ..
                }) if message == INITIALIZING && Instant::now() < deadline => {
                    wait::pause(INITIALIZING_PAUSE);
                }
                result => return result,
            }
        }
    }

    fn request_once(
        &self,
        method: &Method,
        path: &str,
        body: Option<(Body, &Value)>,
    ) -> Result<Value, KubeError> {
        let no_answer = |error| KubeError::NoAnswer(Box::new(error));
        let mut request = Request::builder()
            .method(method.clone())
            .uri(format!("{}{path}", self.server))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::ACCEPT, "application/json");
        let mut bytes = Vec::new();
        if let Some((body, value)) = body {
            request = request.header(header::CONTENT_TYPE, body.media_type());
            bytes = value.to_string().into_bytes();
        }
        let request = request.body(bytes).map_err(|error| no_answer(error.into()))?;
        let mut answer = self.agent.run(request).map_err(no_answer)?;
        let body = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES);
        let body = body.read_to_vec().map_err(no_answer)?;
        let code = answer.status().as_u16();
        if answer.status().is_success() {
            return serde_json::from_slice(&body).map_err(KubeError::NotJson);
        }
        let status: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = || String::from_utf8_lossy(&body).into_owned();
        let message = status["message"].as_str().map_or_else(text, str::to_owned);
        Err(KubeError::Refused {
            code,
            message,
            status,
        })
    }
}
