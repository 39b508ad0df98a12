//! The gateway service: HTTP/3 listener, stores, admin port and commands around the decisions of `apollo-gateway-core`.

pub mod admin;
pub mod api;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod crds;
pub mod events;
pub mod exit;
pub mod gateway;
pub mod lifecycle;
pub mod listener;
pub mod manifest;
pub mod metrics;
pub mod pki;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod tls;
