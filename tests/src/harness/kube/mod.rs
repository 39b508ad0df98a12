//! A Kubernetes API server of its own for each test: the real API machinery on a real etcd, built once by
//! `tests/kube/build`, ready a second after [`KubeApi::start`].
//!
//! What it is not: there are no controllers (nothing runs pods or collects garbage), no admission but that of
//! namespaces, and built-in kinds other than custom resources are stored without validation or defaults. What a user may
//! do is said by [`Rule`]s, not by the RBAC objects it stores; [`rules_of`] turns the one into the other.

mod access;
mod api;
mod audit;
mod built;
mod client;
mod kind;
mod manifests;
mod parts;
mod world;

pub use access::{Rule, rules_of};
pub use api::KubeApi;
pub use audit::{AuditEntry, AuditMark};
pub use client::{KubeClient, KubeError};
pub use kind::Kind;
pub use manifests::documents;
pub use parts::Part;
pub use world::KubeWorld;
