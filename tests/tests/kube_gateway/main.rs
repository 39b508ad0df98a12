//! A gateway on a real API server: what it says and does when something is missing, is taken away, or is not there for a
//! while; liveness across replicas; and that it uses exactly the permissions that `deploy/` gives it.

mod liveness;
mod outages;
mod permissions;
mod scene;
mod start_failures;
mod taken_away;
